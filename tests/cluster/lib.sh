# The virtual cluster of tests/cluster/run: how its parts start and how they break. Sourced by
# that script and, in the cluster, by those that it runs.
# shellcheck shell=bash

namespaces=(--pid --fork --kill-child --mount --net --uts --ipc --mount-proc)
state=/run/cluster
nodes=(n1 n2)
export SLURM_CONF=$state/slurm.conf

# wait_until <seconds> <command...>: tries it five times a second.
wait_until() {
    local until=$((SECONDS + $1))
    shift
    until "$@"; do
        [[ $SECONDS -lt $until ]] || return 1
        sleep 0.2
    done
}

write_configuration() {
    local cores=${CLUSTER_CORES:-2} task=task/affinity
    [[ $(getconf _NPROCESSORS_ONLN) -ge $cores ]] || task=task/none # nodes share the host's cores
    cat > "$SLURM_CONF" << END
ClusterName=virtual
SlurmctldHost=login(10.77.0.254)
SlurmUser=root
AuthInfo=socket=$state/munge.socket,cred_expire=5
StateSaveLocation=$state/controller
SlurmdSpoolDir=/tmp/slurmd
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/%n.pid
SlurmctldLogFile=$state/log/slurmctld
SlurmdLogFile=$state/log/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=$task
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,sched_min_interval=0,bf_interval=2
ReturnToService=2
SlurmdTimeout=8
SlurmctldTimeout=5
MessageTimeout=5
TCPTimeout=4
KillWait=5
InactiveLimit=0
MinJobAge=3600
SlurmdParameters=config_overrides
NodeName=n1 NodeAddr=10.77.0.1 CPUs=$cores
NodeName=n2 NodeAddr=10.77.0.2 CPUs=$cores
PartitionName=main Nodes=n1,n2 Default=YES DefaultTime=10 MaxTime=60
END
    printf '%s\n' '127.0.0.1 localhost' '10.77.0.254 login' '10.77.0.1 n1' '10.77.0.2 n2' \
        > "$state/hosts"
    mount --bind "$state/hosts" /etc/hosts
}

start_munge() {
    mkdir -m 700 "$state/munge"
    head -c 128 /dev/urandom > "$state/munge/key"
    chmod 400 "$state/munge/key"
    munged --force --socket="$state/munge.socket" --key-file="$state/munge/key" \
        --pid-file="$state/munge/pid" --seed-file="$state/munge/seed" \
        --log-file="$state/munge/log" 2> /dev/null
}

start_network() {
    ip link set lo up
    ip link add bridge type bridge
    ip addr add 10.77.0.254/24 dev bridge
    ip link set bridge up
}

controller_start() {
    slurmctld
    wait_until 20 controller_answers || {
        echo "cluster: slurmctld does not answer" >&2
        tail "$state/log/slurmctld" >&2
        return 1
    }
}

controller_answers() {
    timeout 5 scontrol ping 2> /dev/null | grep -q 'is UP'
}

# Like kill -9: nothing is saved that was not saved before.
controller_kill() {
    kill -9 "$(cat "$state/slurmctld.pid")"
    rm -f "$state/slurmctld.pid"
}

# What the first process of a node does. Arguments: its name, and the directories of /tmp that it shares.
node_main() {
    local name=$1 shared
    shift
    hostname "$name"
    mkdir -p /run/hidden
    mount --make-rslave /
    mount --bind /tmp /run/hidden
    mount -t tmpfs none /tmp
    mount -t tmpfs none /dev/shm
    for shared in "$@"; do
        mkdir -p "$shared"
        mount --rbind "/run/hidden/${shared#/tmp/}" "$shared"
    done
    wait_until 20 ip link set eth0 up 2> /dev/null
    ip addr add "10.77.0.${name#n}/24" dev eth0
    ip link set lo up
    mkdir /tmp/slurmd
    slurmd -N "$name"
    sleep infinity
}

# Directories of /tmp that must be seen everywhere, none inside another.
shared_directories() {
    local root path kept=
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
    tr : '\n' <<< "$root:$PWD:${CLUSTER_SHARE:-}" | grep '^/tmp/.' | sort -u |
        while read -r path; do
            [[ -n $kept && $path/ == "$kept"/* ]] || { echo "$path" && kept=$path; }
        done || true
}

# Power on; returns when Slurm may use the node.
node_start() {
    local name=$1 first shared
    mapfile -t shared < <(shared_directories)
    export -f node_main wait_until
    unshare "${namespaces[@]}" --propagation slave \
        bash -c 'node_main "$@"' node "$name" "${shared[@]}" \
        > "$state/log/$name.out" 2>&1 < /dev/null &
    echo $! > "$state/$name.unshare"
    wait_until 10 node_process "$name" > /dev/null || return 1
    first=$(node_process "$name")
    ip link add "$name" type veth peer name eth0 netns "$first"
    ip link set "$name" master bridge up
    wait_until 30 node_idle "$name" || {
        echo "cluster: node $name does not come up" >&2
        tail "$state/log/$name" "$state/log/$name.out" >&2
        return 1
    }
}

# The first process in the node's namespaces.
node_process() {
    local first
    first=$(pgrep -P "$(cat "$state/$1.unshare")") &&
        [[ $(readlink "/proc/$first/ns/net") != "$(readlink /proc/self/ns/net)" ]] && echo "$first"
}

node_idle() {
    [[ $(timeout 5 sinfo -h -n "$1" -o %T 2> /dev/null) == idle ]]
}

# Power off, for slurmd and everything that ran there.
node_kill() {
    local first
    first=$(node_process "$1")
    kill -9 "$first"
    wait_until 10 process_gone "$first"
    ip link del "$1" 2> /dev/null || true
}

process_gone() {
    [[ ! -e /proc/$1 ]]
}

# link_slow <node> <Mbit/s> <delay in ms> <percent lost>: what it receives. Kernels without netem
# get rate and loss from others, and no delay.
link_slow() {
    local name=$1 rate=$2 delay=$3 loss=$4
    if tc qdisc add dev "$name" root netem rate "${rate}mbit" delay "${delay}ms" \
        loss "$loss%" 2> /dev/null; then
        link="netem, $rate Mbit/s, $delay ms, $loss % lost"
        return
    fi
    tc qdisc add dev "$name" root tbf rate "${rate}mbit" burst 64kb latency 400ms
    nft -f - << END
table netdev lossy {
    chain $name {
        type filter hook ingress device $name priority 0
        numgen random mod 1000 < $((loss * 10)) drop
    }
}
END
    link="no netem here: tbf, $rate Mbit/s; nft, $loss % lost"
    export link
}

link_fast() {
    tc qdisc del dev "$1" root
    nft delete table netdev lossy 2> /dev/null || true
}

login_start() {
    local name
    hostname login
    mount --make-rshared /
    mount -t tmpfs none /run
    mkdir -p "$state/log" "$state/controller"
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1
    # No search for fast networks; ranks of more nodes than the host has cores give way.
    export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader,tcp OMPI_MCA_mpi_yield_when_idle=1
    export OMPI_MCA_btl_vader_single_copy_mechanism=none
    unset TMPDIR
    write_configuration
    start_munge
    start_network
    controller_start
    for name in "${nodes[@]}"; do
        node_start "$name"
    done
}
