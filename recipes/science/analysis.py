"""Shows that the environment works: a mean by group, checked."""

import pandas as pd

frame = pd.DataFrame({"kind": ["a", "b", "a", "b"], "value": [1.0, 2.0, 3.0, 4.0]})
means = frame.groupby("kind")["value"].mean()
assert means.to_dict() == {"a": 2.0, "b": 3.0}
print(means)
