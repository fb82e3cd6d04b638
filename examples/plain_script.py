"""What a job can say, in a plain script: parameters, an input, results, labels, texts, a web page, a chart, a table.

Run by itself it makes a run of its own; started by `tracker.run_function("examples/plain_script.py", ...)` it is the run asked for,
with its parameters.

    python examples/plain_script.py

Needs pandas and scikit-learn: pip install 'run-tracker[demo,data]'
"""

from pathlib import Path

import pandas as pd
import sklearn.datasets

import tracker
from tracker.artifacts import ChartArtifact

IRIS = Path(sklearn.datasets.__file__).parent / "data" / "iris.csv"


def my_job(context: tracker.Context, p1: int = 1, p2: str = "x") -> None:
    """Say everything once."""
    print(f"Run: {context.name} (uid={context.uid})")
    print(f"Params: p1={p1}, p2={p2}")
    flowers = context.get_input("iris", str(IRIS)).as_df(skiprows=1, header=None)

    context.log_result("accuracy", p1 * 2)
    context.log_result("loss", p1 * 3)
    context.set_label("framework", "sklearn")

    context.log_artifact("model", body=b"abc is 123", local_path="model.txt", labels={"framework": "xgboost"})
    context.log_artifact("html_result", body=b"<b> Some HTML <b>", local_path="result.html")

    chart = ChartArtifact("chart")
    chart.labels = {"type": "roc"}
    chart.header = ["Epoch", "Accuracy", "Loss"]
    for i in range(1, 8):
        chart.add_row([i, i / 20 + 0.75, 0.30 - i / 20])
    context.log_artifact(chart)

    flowers.columns = pd.Index(["sepal_length", "sepal_width", "petal_length", "petal_width", "species"])
    context.log_dataset("flowers", df=flowers, stats=True, label_column="species")
    context.logger.info("said it all", rows=len(flowers))


if __name__ == "__main__":
    with tracker.get_or_create_ctx("train", project="examples", capture=True) as run:
        my_job(run, run.get_param("p1", 1), run.get_param("p2", "a-string"))
