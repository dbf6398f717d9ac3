#!/usr/bin/env bash
# Remakes the figures of the README from the commands it shows.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-outputs/readme}
alrun run -m strategy=random,margin,badge,uherding 'seed=range(5)' runs_dir="$runs"
cp "$runs"/comparison/*.png docs/figures/bbc_news.png
cp "$runs"/bbc_news/minilm-linear/uherding-low/s0-*/plots/tsne.png docs/figures/tsne_uherding.png
# The picture of the report needs the extra report and a Chromium: apt-get install chromium.
alrun report "$runs" --out "$runs"/report.html
python scripts/report_screenshot.py "$runs"/report.html docs/figures/report.png
