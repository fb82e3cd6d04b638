"""A hyper-parameter search over handwritten digits: on this machine's processors, or on a Dask cluster.

Each combination of the grid is a child iteration, trained in a process of its own. The parent gets the table of iterations, the results and
artifacts of the best one, and a picture in parallel coordinates.

    python examples/search_digits.py            # two processes
    python examples/search_digits.py --dask     # two Dask workers, started for this run and stopped after it

Needs scikit-learn, and for --dask distributed: pip install 'run-tracker[demo,data,dask]'
"""

import sys

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

import tracker

GRID = {"C": [0.1, 1.0, 10.0], "gamma": [0.001, 0.01, 0.1]}


def train(context: tracker.Context, C: float, gamma: float, seed: int = 7) -> SVC:  # noqa: N803 - scikit-learn's name of it
    """Fit one combination; what is returned is kept as the artifact `model`."""
    x, y = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x / 16, y, random_state=seed, stratify=y)
    model = SVC(C=C, gamma=gamma).fit(x_train, y_train)
    context.log_results({"accuracy": model.score(x_test, y_test), "support_vectors": int(model.n_support_.sum())})
    return model


def main() -> None:
    """One search."""
    options = {"parallel_runs": 2}
    if "--dask" in sys.argv[1:]:
        options |= {"dask_cluster_uri": "local", "teardown_dask": True}
    task = tracker.new_task("search-digits", project="digits", params={"seed": 7}, returns=["model"])
    task.with_hyper_params(GRID, selector="max.accuracy", strategy="grid", **options)
    run = tracker.run_function(train, task)
    run.show()
    print(f"best: iteration {run.output('best_iteration')}, accuracy {run.output('accuracy'):.4f}")


if __name__ == "__main__":
    main()
