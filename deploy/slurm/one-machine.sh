#!/usr/bin/env bash
# A Slurm of one machine, for testing: everything in one folder, nothing listens beyond loopback, nothing outlives `stop`.
#
#   deploy/slurm/one-machine.sh start FOLDER     as root; needs Debian's slurm-wlm (slurmctld, slurmd, munge)
#   export SLURM_CONF=FOLDER/slurm.conf          what sbatch, squeue and scancel go by
#   deploy/slurm/one-machine.sh stop FOLDER
#
# Its one partition is `all`; four jobs may share a core, so that two jobs of one core run even on a machine with one.
set -euo pipefail

start() {
    local folder=$1 host cores memory
    [ "$(id -u)" = 0 ] || { echo "one-machine.sh: must be root, as slurmd must" >&2; exit 1; }
    for program in slurmctld slurmd munged runuser; do
        command -v "$program" >/dev/null || { echo "one-machine.sh: $program is not installed" >&2; exit 1; }
    done
    [ ! -e "$folder" ] || { echo "one-machine.sh: $folder exists" >&2; exit 1; }
    host=$(hostname -s)
    cores=$(nproc)
    memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
    mkdir -p "$folder"/{munge,state,spool}
    chmod 755 "$folder" "$folder/munge"
    folder=$(cd "$folder" && pwd)

    # A key and a socket of its own: the machine's munge, if there is one, is left alone.
    head -c 1024 /dev/urandom >"$folder/munge/key"
    chmod 400 "$folder/munge/key"
    chown -R munge: "$folder/munge"
    runuser -u munge -- munged --key-file "$folder/munge/key" --socket "$folder/munge/socket" \
        --pid-file "$folder/munge/pid" --log-file "$folder/munge/log" --seed-file "$folder/munge/seed"

    cat >"$folder/slurm.conf" <<CONF
ClusterName=one-machine
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=5
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
CONF
    export SLURM_CONF=$folder/slurm.conf
    slurmctld
    slurmd
    for _ in $(seq 100); do
        if [ "$(sinfo -h -o %T 2>/dev/null)" = idle ]; then
            echo "export SLURM_CONF=$SLURM_CONF"
            return
        fi
        sleep 0.2
    done
    echo "one-machine.sh: the node does not become idle; see $folder/slurmd.log" >&2
    tail -5 "$folder"/*.log >&2
    stop "$folder"
    exit 1
}

stop() {
    local folder=$1 pid
    SLURM_CONF=$folder/slurm.conf scancel --user="$(id -un)" 2>/dev/null || true
    for pid in "$folder"/slurmd.pid "$folder"/slurmctld.pid "$folder"/munge/pid; do
        [ ! -s "$pid" ] || kill "$(cat "$pid")" 2>/dev/null || true
    done
    for _ in $(seq 50); do
        compgen -G "$folder/*.pid" >/dev/null || break
        sleep 0.1
    done
    rm -rf "$folder"
}

case "${1:-}" in
start | stop) [ $# = 2 ] || { echo "usage: one-machine.sh start|stop FOLDER" >&2; exit 2; }; "$1" "$2" ;;
*) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
