"""Times the original blockprint's own functions, for `make bench-original ORIGINAL=<checkout>`.

Prints shell assignments that our benchmarks read to state their ratios: microseconds of processor time per block
(reading one file with one block, and the four default features) and per kNN query (a million rows, one row at a time,
as its classifier asks).
"""

import glob
import json
import random
import sys
import time

checkout, files = sys.argv[1], sorted(glob.glob(sys.argv[2] + "/*.json"))
sys.path.insert(0, checkout)

import numpy as np  # noqa: E402
from sklearn.neighbors import KNeighborsClassifier  # noqa: E402

from feature_selection import ALL_FEATURES  # noqa: E402

FEATURES = ["percent_redundant_boost", "difflib_rewards", "difflib_slot", "difflib_slot_rev"]


def read(path):
    with open(path) as f:
        return [ALL_FEATURES[name](json_block) for json_block in [json.load(f)] for name in FEATURES]


for path in files[:100]:
    read(path)
begin = time.process_time()
for path in files:
    read(path)
print(f"ORIGINAL_BLOCK_US={(time.process_time() - begin) / len(files) * 1e6:.1f}")

random.seed(1)
rows = np.array([[random.randrange(200) / 200 for _ in range(4)] for _ in range(1_000_000)])
labels = np.array([random.randrange(5) for _ in range(len(rows))])
model = KNeighborsClassifier(n_neighbors=9, weights="distance").fit(rows, labels)
queries = [[random.randrange(200) / 200 for _ in range(4)] for _ in range(2000)]
begin = time.process_time()
for q in queries:
    model.predict_proba([q])
print(f"ORIGINAL_QUERY_US={(time.process_time() - begin) / len(queries) * 1e6:.1f}")
