#!/usr/bin/env bash
# Trains with several processes on one machine:
#
#   launch/local.sh N CONFIG [FLAG...]
#   launch/local.sh 2 configs/fusion.py --workdir=runs/fusion
#
# Each process uses one GPU if there are any. The first process writes to the terminal, the others
# to files that are shown if one fails. If a process fails, the others are ended, and its exit
# status is returned.
set -euo pipefail

if [[ $# -lt 2 || ! $1 =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: $0 NUMBER_OF_PROCESSES CONFIG [FLAG...]" >&2
  exit 2
fi
num_processes=$1
config=$2
shift 2

if [[ -z ${PYTHON:-} ]]; then
  PYTHON=python3
  if [[ -x .venv/bin/python ]]; then PYTHON=.venv/bin/python; fi
fi

port=$("$PYTHON" -c 'import socket
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    print(probe.getsockname()[1])')
export JAX_COORDINATOR_ADDRESS="127.0.0.1:$port" JAX_NUM_PROCESSES="$num_processes"

# Large arrays in large pages: networks map their buffers anew in every step (experiments/speed).
export GLIBC_TUNABLES="${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}"

logs=$(mktemp -d "${TMPDIR:-/tmp}/moa_jax_launch.XXXXXX")
pids=()

end_all() {
  local pid
  for pid in "${pids[@]:+${pids[@]}}"; do kill -TERM "$pid" 2>/dev/null || true; done
  for _ in {1..50}; do
    if [[ -z $(jobs -pr) ]]; then return; fi
    sleep 0.1
  done
  for pid in "${pids[@]:+${pids[@]}}"; do kill -KILL "$pid" 2>/dev/null || true; done
}
trap 'end_all; rm -rf "$logs"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for ((rank = 0; rank < num_processes; rank++)); do
  export JAX_PROCESS_ID=$rank JAX_LOCAL_DEVICE_IDS=$rank
  if [[ $rank -eq 0 ]]; then
    "$PYTHON" -m moa_jax.train --config="$config" "$@" &
  else
    "$PYTHON" -m moa_jax.train --config="$config" "$@" >"$logs/process-$rank.log" 2>&1 &
  fi
  pids+=($!)
done

# Polling, because `wait -n` is missing in the bash of macOS.
left=$num_processes
while [[ $left -gt 0 ]]; do
  sleep 0.2
  for rank in "${!pids[@]}"; do
    pid=${pids[$rank]}
    if kill -0 "$pid" 2>/dev/null; then continue; fi
    status=0
    wait "$pid" || status=$?
    unset "pids[$rank]"
    left=$((left - 1))
    if [[ $status -ne 0 ]]; then
      if [[ $rank -ne 0 ]]; then
        echo "process $rank of $num_processes failed with status $status:" >&2
        tail -n 20 "$logs/process-$rank.log" >&2
      fi
      exit "$status"
    fi
  done
done
