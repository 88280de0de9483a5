#!/usr/bin/env bash
# Two network namespaces as two hosts, a torchrun node in each, with a folder each; a rank is killed
# on the way. The table has to be that of one process. Needs Linux and root; PYTHON names the python.
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
python=$(command -v "${PYTHON:-python}")
flags=(--dataset digits --z 2 --runs 3 --threads 1 --iter_max "${ITER_MAX:-600}" --save_every_seconds 1)
work=$(mktemp -d)
tidy() { ip netns delete east; ip netns delete west; rm -rf "$work"; }
trap tidy EXIT

ip netns add east
ip netns add west
ip link add e0 netns east type veth peer name w0 netns west
ip -n east addr add 10.9.0.1/24 dev e0
ip -n west addr add 10.9.0.2/24 dev w0
for link in "east e0" "east lo" "west w0" "west lo"; do
  ip -n "${link% *}" link set "${link#* }" up
done

# is_host: torch looks for the endpoint among the addresses of the host's name, which it shares here.
node() { # namespace, interface, address, is_host
  mkdir "$work/$1" && cd "$work/$1"
  GLOO_SOCKET_IFNAME=$2 OMP_NUM_THREADS=1 ip netns exec "$1" "$python" -m torch.distributed.run \
    --nnodes 2 --nproc_per_node 1 --rdzv_backend c10d --rdzv_endpoint 10.9.0.1:29500 \
    --rdzv_id two-hosts --rdzv_conf "is_host=$4" --local_addr "$3" --max-restarts 3 "$project/run_vae.py" "${flags[@]}" \
    >out 2>err || echo "the node $1 ended with status $?"
}
node east e0 10.9.0.1 true &
node west w0 10.9.0.2 false &

# Kills the west's rank once it has something to lose.
until state=$(ls "$work"/west/checkpoints/*/resume.pt 2>/dev/null); do
  [ -n "$(jobs -r)" ] || { cat "$work"/*/err; exit 1; }
  sleep 0.1
done
pid=$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["pid"])' \
  "$(dirname "$(head -1 <<<"$state")")/owner.json")
kill -9 "$pid" && echo "killed the west's rank, process $pid"
wait

mkdir "$work/one" && cd "$work/one"
"$python" "$project/run_vae.py" "${flags[@]}" >out 2>err
table() { sed -n '/^subset, run/,$p' "$work/$1/out"; }
for host in east west; do
  echo "$host's disk has: $(ls "$work/$host/checkpoints" | tr '\n' ' ')"
done
grep -h exitcode "$work"/*/err || true
cat <(table east) <(table west)
if [ "$(table one)" = "$(cat <(table east) <(table west))" ]; then
  echo "the table is that of one process"
else
  echo "the table DIFFERS from that of one process:"
  table one
  exit 1
fi
