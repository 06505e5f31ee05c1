#!/usr/bin/env bash
# All that needs an accelerator, in 9 minutes: tests, benchmarks, gpu presets; results in the folder $OUT.
#
#   OUT=results bash benchmarks/gpu_session.sh              on a machine with a GPU (torch 2.11, Python 3.12)
#   OUT=results bash benchmarks/gpu_session.sh --dry-run    the same parts in their smallest form, on a CPU
#
# The package is used from its source; needed are numpy, scipy, numba, tqdm, torch and pytest, no network.
# Presets are those called gpu-session, made for this time; PRESET=gpu takes the larger ones, of 10 minutes
# each. A part that fails or runs out of its time leaves the others alone; the table at the end says so, and
# the script then exits with 1. Of a preset that is cut off the finished units are kept in runs.tar.gz.
# PYTHON, WORKERS, MINUTES, PARTS change interpreter, processes a preset, time, and which parts are run.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
python=${PYTHON:-python3}
out=${OUT:?name a folder for the results: OUT=results bash benchmarks/gpu_session.sh}
mkdir -p "$out" || exit 2
out=$(cd "$out" && pwd)
preset=${PRESET:-gpu-session} quick="" workers=${WORKERS:-4} seconds=$((60 * ${MINUTES:-9})) parts=" ${PARTS:-} "
if [ "${1:-}" = --dry-run ]; then preset=smoke quick=--quick workers=2; fi
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
unset PYTHONDONTWRITEBYTECODE # else every process would compile the kernels anew
if [ -z "$quick" ] && ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "PyTorch sees no GPU here; --dry-run tries all parts on a CPU" >&2
    exit 2
fi
runs=$(mktemp -d)
trap 'rm -rf "$runs"' EXIT
failed=0
table=$out/table.txt
printf '%-20s %-12s %8s %8s\n' part result seconds limit >"$table"

# part NAME LIMIT COMMAND...: runs it for LIMIT seconds at most, or what is left; its output goes to NAME.log.
part() {
    local name=$1 limit=$2 began=$SECONDS left=$((seconds - SECONDS)) code result
    shift 2
    [ "$parts" = "  " ] || [[ $parts == *" $name "* ]] || return
    if [ "$left" -lt 5 ]; then
        printf '%-20s %-12s %8s %8s\n' "$name" "no time left" - "$limit" >>"$table"
        failed=1
        return
    fi
    [ "$limit" -gt "$left" ] && limit=$left
    echo "== $name (at most $limit s)"
    # An interrupt lets a run keep its units; what still lives 10 s later is killed.
    timeout --signal=INT --kill-after=10 "$limit" "$@" >"$out/$name.log" 2>&1 </dev/null
    code=$?
    case $code in
        0) result=passed ;;
        124 | 137) result="cut off" ;;
        *) result="failed ($code)" ;;
    esac
    [ "$code" -eq 0 ] || failed=1
    printf '%-20s %-12s %8s %8s\n' "$name" "$result" $((SECONDS - began)) "$limit" >>"$table"
    tail -n 15 "$out/$name.log"
}

# In the order of what each tells; a later part gets what the earlier ones leave.
part tests 100 "$python" -m pytest -m gpu tests/neural -q -p no:cacheprovider
part engine 90 "$python" benchmarks/bench_neural.py $quick
part nn-model-scaling 200 "$python" benchmarks/_preset.py nn-model-scaling "$preset" "$runs" "$workers"
part precision 40 "$python" benchmarks/precision.py $quick
part architectures 100 "$python" benchmarks/_preset.py architectures "$preset" "$runs" "$workers"
part in-context 100 "$python" benchmarks/_preset.py in-context "$preset" "$runs" "$workers"

# Without the states of trainings that were cut off, which are large.
tar -czf "$out/runs.tar.gz" --exclude=scratch -C "$runs" .
cat "$table"
exit $failed
