# What the scripts here share: the command, and servers that are ended with the script. Sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/scripts/lib/need.sh"
target=${CARGO_TARGET_DIR:-$root/target}
kaffic=${KAFFIC:-$target/release/kaffic}
work=$(mktemp -d)
started=()

finish() {
  [ ${#started[@]} -eq 0 ] || kill "${started[@]}" 2>/dev/null || true
  wait
  rm -rf "$work"
}
trap finish EXIT

build() {
  need_rust
  [ -n "${KAFFIC:-}" ] || cargo build --quiet --release --locked --manifest-path "$root/Cargo.toml" -p kaffic-cli
}

# Starts a server and waits until it answers: serve PORT STORE [ARGUMENT…]
serve() {
  local port=$1 store=$2
  shift 2
  "$kaffic" --store "$store" serve --listen "127.0.0.1:$port" "$@" 2>>"$work/serve-$port.log" &
  started+=($!)
  curl -s --retry 50 --retry-connrefused --retry-delay 1 --max-time 60 -o /dev/null "127.0.0.1:$port/healthz" || {
    cat "$work/serve-$port.log" >&2
    exit 1
  }
}
