#!/bin/bash
# A SLURM of one node on this machine, in a folder, for tests/jobs/test_real_slurm.py; nothing outside it is changed.
# Needs root and the packages slurm-wlm and munge (Debian); no accounting is kept.
#   eval "$(tests/jobs/one_node_slurm.sh start FOLDER)"    then run the tests
#   tests/jobs/one_node_slurm.sh stop FOLDER
set -e
folder=$(realpath -m "$2")
if [ "$1" = stop ]; then
  for name in slurmd slurmctld munged; do kill "$(cat "$folder/$name.pid")" || true; done
  exit
fi
mkdir -p "$folder"/{state,spool}
head -c 1024 /dev/urandom > "$folder/key"
chmod 400 "$folder/key"
munged --force --key-file="$folder/key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
  --log-file="$folder/munged.log" --seed-file="$folder/seed" >&2
cat > "$folder/slurm.conf" <<END
ClusterName=one
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmUser=root
AuthInfo=socket=$folder/munge.socket
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
AccountingStorageType=accounting_storage/none
ReturnToService=2
KillWait=10
MinJobAge=15
NodeName=$(hostname) NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=10 DefMemPerCPU=1000 State=UP
END
export SLURM_CONF=$folder/slurm.conf
slurmctld >&2
slurmd >&2
echo "export SLURM_CONF=$folder/slurm.conf"
