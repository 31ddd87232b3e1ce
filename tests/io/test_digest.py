"""SHA-256 of a file."""

from halfmap.io import digest


def test_the_digest_is_that_of_the_standard(tmp_path):
    """FIPS 180-4, example of one block."""
    (tmp_path / "abc").write_bytes(b"abc")
    assert digest.sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
