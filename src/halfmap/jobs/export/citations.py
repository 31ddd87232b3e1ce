"""Papers behind the methods: how each is cited in a text, and as BibTeX. Owns the bibliography alone."""

from __future__ import annotations

import re
from collections.abc import Iterable

FIELD = re.compile(r"(\w+) = \{((?:[^{}]|\{[^{}]*\})*)\}")  # with one level of braces inside
TEXT = {
    "scheres_bayesian_2012": "Scheres, 2012",
    "scheres_chen_2012": "Scheres & Chen, 2012",
    "rosenthal_henderson_2003": "Rosenthal & Henderson, 2003",
    "chen_2013": "Chen et al., 2013",
    "punjani_nonuniform_2020": "Punjani, Zhang & Fleet, 2020",
    "zivanov_relion3_2018": "Zivanov et al., 2018",
    "zivanov_aberrations_2020": "Zivanov, Nakane & Scheres, 2020",
    "wolf_2006": "Wolf, DeRosier & Grigorieff, 2006",
    "tan_2017": "Tan et al., 2017",
}
PROGRAM = """@software{halfmap,
  title = {halfmap}, version = {%s}, author = {{the halfmap authors}}
}"""
BIBTEX = {
    "scheres_bayesian_2012": """@article{scheres_bayesian_2012,
  author = {Scheres, Sjors H. W.},
  title = {{RELION}: Implementation of a {Bayesian} approach to cryo-{EM} structure determination},
  journal = {Journal of Structural Biology}, volume = {180}, pages = {519--530}, year = {2012},
  doi = {10.1016/j.jsb.2012.09.006}
}""",
    "scheres_chen_2012": """@article{scheres_chen_2012,
  author = {Scheres, Sjors H. W. and Chen, Shaoxia},
  title = {Prevention of overfitting in cryo-{EM} structure determination},
  journal = {Nature Methods}, volume = {9}, pages = {853--854}, year = {2012},
  doi = {10.1038/nmeth.2115}
}""",
    "rosenthal_henderson_2003": """@article{rosenthal_henderson_2003,
  author = {Rosenthal, Peter B. and Henderson, Richard},
  title = {Optimal determination of particle orientation, absolute hand, and contrast loss in single-particle
           electron cryomicroscopy},
  journal = {Journal of Molecular Biology}, volume = {333}, pages = {721--745}, year = {2003},
  doi = {10.1016/j.jmb.2003.07.013}
}""",
    "chen_2013": """@article{chen_2013,
  author = {Chen, Shaoxia and McMullan, Greg and Faruqi, Abdul R. and Murshudov, Garib N. and Short, Judith M. and
            Scheres, Sjors H. W. and Henderson, Richard},
  title = {High-resolution noise substitution to measure overfitting and validate resolution in {3D} structure
           determination by single particle electron cryomicroscopy},
  journal = {Ultramicroscopy}, volume = {135}, pages = {24--35}, year = {2013},
  doi = {10.1016/j.ultramic.2013.06.004}
}""",
    "punjani_nonuniform_2020": """@article{punjani_nonuniform_2020,
  author = {Punjani, Ali and Zhang, Haowei and Fleet, David J.},
  title = {Non-uniform refinement: adaptive regularization improves single-particle cryo-{EM} reconstruction},
  journal = {Nature Methods}, volume = {17}, pages = {1214--1221}, year = {2020},
  doi = {10.1038/s41592-020-00990-8}
}""",
    "zivanov_relion3_2018": """@article{zivanov_relion3_2018,
  author = {Zivanov, Jasenko and Nakane, Takanori and Forsberg, Bj{\\"o}rn O. and Kimanius, Dari and
            Hagen, Wim J. H. and Lindahl, Erik and Scheres, Sjors H. W.},
  title = {New tools for automated high-resolution cryo-{EM} structure determination in {RELION}-3},
  journal = {eLife}, volume = {7}, pages = {e42166}, year = {2018},
  doi = {10.7554/eLife.42166}
}""",
    "zivanov_aberrations_2020": """@article{zivanov_aberrations_2020,
  author = {Zivanov, Jasenko and Nakane, Takanori and Scheres, Sjors H. W.},
  title = {Estimation of high-order aberrations and anisotropic magnification from cryo-{EM} data sets in
           {RELION}-3.1},
  journal = {IUCrJ}, volume = {7}, pages = {253--267}, year = {2020},
  doi = {10.1107/S2052252520000081}
}""",
    "wolf_2006": """@article{wolf_2006,
  author = {Wolf, Matthias and DeRosier, David J. and Grigorieff, Nikolaus},
  title = {{Ewald} sphere correction for single-particle electron microscopy},
  journal = {Ultramicroscopy}, volume = {106}, pages = {376--382}, year = {2006},
  doi = {10.1016/j.ultramic.2005.11.001}
}""",
    "tan_2017": """@article{tan_2017,
  author = {Tan, Yong Zi and Baldwin, Philip R. and Davis, Joseph H. and Williamson, James R. and Potter, Clinton S.
            and Carragher, Bridget and Lyumkis, Dmitry},
  title = {Addressing preferred specimen orientation in single-particle cryo-{EM} through tilting},
  journal = {Nature Methods}, volume = {14}, pages = {793--796}, year = {2017},
  doi = {10.1038/nmeth.4347}
}""",
}


def sentence(key: str) -> str:
    """A paper in a line: authors and year as cited, title, journal, DOI."""
    fields = dict(FIELD.findall(" ".join(BIBTEX[key].split())))
    title, pages = fields["title"].translate({ord(brace): None for brace in "{}"}), fields["pages"].replace("--", "-")
    return f"{TEXT[key]}. {title}. {fields['journal']} {fields['volume']}, {pages}. doi:{fields['doi']}"


def bibtex(keys: Iterable[str], version: str) -> str:
    """The entries of these papers, and of halfmap itself in that version, as a .bib file."""
    return "\n\n".join([PROGRAM % version, *(BIBTEX[key] for key in keys)]) + "\n"
