#!/usr/bin/env bash
# Builds wheel and source archive, installs each into an empty environment, and uses it outside of the checkout:
#   scripts/check_dist.sh            or, for another Python,   PYTHON=python3.13 scripts/check_dist.sh
# CONSTRAINT="jax==0.10.0" checks a certain version. Needs some 2 GB of disk and the package index.
set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
PYTHON=${PYTHON:-python3}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
export NASJAX_CACHE="$WORK/cache" PIP_DISABLE_PIP_VERSION_CHECK=1
unset PYTHONPATH

"$PYTHON" -m venv "$WORK/build"
"$WORK/build/bin/pip" install --quiet build
"$WORK/build/bin/python" -m build --outdir "$WORK/dist" "$ROOT"
for archive in "$WORK"/dist/*; do
  echo "== $(basename "$archive")"
  rm -rf "$WORK/empty" "$WORK/run"
  "$PYTHON" -m venv "$WORK/empty"
  "$WORK/empty/bin/pip" install --quiet "$archive" ${CONSTRAINT:+"$CONSTRAINT"}
  cd "$WORK"
  "$WORK/empty/bin/python" - "$ROOT" <<'CHECK'
import pathlib, sys
import jax, nasjax
home = pathlib.Path(nasjax.__file__).parent
assert pathlib.Path(sys.argv[1]) not in home.parents, home
assert (home / "py.typed").exists() and (home / "data" / "assets" / "photos.npz").exists()
import importlib.metadata as metadata
files = [str(file) for file in metadata.files("nasjax")]
for name in ("LICENSE", "NOTICE"):
    assert any(file.endswith(f"licenses/{name}") for file in files), name
assert not any(file.startswith(("tests", "benchmarks", "launch", "docs", "notebooks")) for file in files)
print("nasjax", nasjax.__version__, "jax", jax.__version__, "Python", sys.version.split()[0])
CHECK
  for command in "$WORK"/empty/bin/nasjax-*; do
    "$command" --helpshort > "$WORK/help.txt"
    grep -q "^Usage: $(basename "$command") " "$WORK/help.txt"
    if grep "launch\." "$WORK/help.txt"; then exit 1; fi  # a checkout's way to call it
  done
  "$WORK/empty/bin/nasjax-score" --workdir="$WORK/run" --archs=random:4 --proxies=lswag,params --channels=4 --cells=1 \
    --image_size=8 --batch_size=8
  "$WORK/empty/bin/nasjax-correlate" --workdir="$WORK/run" > "$WORK/correlate.txt"
  test -s "$WORK/run/scores.csv" && test -s "$WORK/run/report.html"
  code=0
  "$WORK/empty/bin/nasjax-score" --workdir="$WORK/other" --proxies=zicoo || code=$?
  test "$code" = 2
done
echo "Both install and work."
