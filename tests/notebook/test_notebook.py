"""A notebook with a real kernel: one kernel is started, its cells are run once, and each test looks at what came of some of them."""

import asyncio
import os
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.util import run_sync

from tests.sdk.conftest import until
from tracker.connection import PROCESS
from tracker.model import RunMetadata, RunObject, following
from tracker.model.run_object import RunObject as AioRunObject

T = TypeVar("T")


class Notebook:
    """A notebook whose cells are made and run one after the other."""

    def __init__(self, directory: Path) -> None:
        self._connection = PROCESS.connection(str(directory / "data"))
        self._book = nbformat.v4.new_notebook()
        self._client = NotebookClient(self._book, timeout=60, allow_errors=True, resources={"metadata": {"path": str(directory)}})
        self._client.create_kernel_manager()
        self._client.start_new_kernel(env={name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"})
        self._client.start_new_kernel_client()

    def run(self, source: str, meanwhile: Callable[[], Any] | None = None) -> "Cell":
        """Run a cell to its end; when `meanwhile`, called in a thread, returns, the kernel is interrupted."""
        self._book.cells.append(nbformat.v4.new_code_cell(textwrap.dedent(source)))

        async def interrupt() -> None:
            if meanwhile is not None:
                await asyncio.to_thread(meanwhile)
                await self._client.km.interrupt_kernel()

        async def both() -> Any:
            cell, _ = await asyncio.gather(self._client.async_execute_cell(self._book.cells[-1], len(self._book.cells) - 1), interrupt())
            return cell

        return Cell(run_sync(both)())

    def recorded(self, uid: str, kind: type[T]) -> T:
        """The run of the project that the kernel records to, as this process sees it."""
        run: Any = kind(metadata=RunMetadata(uid=uid.strip("'"), project="p"))  # type: ignore[call-arg]
        run.connection = self._connection
        return cast("T", run)

    def close(self) -> None:
        """Shut the kernel down, as closing a notebook does."""
        run_sync(self._client._async_cleanup_kernel)()


class Cell:
    """What a cell came to."""

    def __init__(self, cell: Any) -> None:
        self._outputs = cell.outputs

    def text(self, name: str = "stdout") -> str:
        """What it printed."""
        return "".join(output.text for output in self._outputs if output.output_type == "stream" and output.name == name)

    @property
    def value(self) -> str:
        """The value of its last line, as text."""
        return next((output.data["text/plain"] for output in self._outputs if output.output_type == "execute_result"), "")

    @property
    def html(self) -> str:
        """The pages it displays."""
        return "".join(output.data.get("text/html", "") for output in self._outputs if "data" in output)

    @property
    def error(self) -> str:
        """What it raised."""
        return next((f"{output.ename}: {output.evalue}" for output in self._outputs if output.output_type == "error"), "")

    def well(self) -> "Cell":
        """The same, if nothing went wrong in it."""
        assert (self.error, self.text("stderr")) == ("", "")
        return self


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """A notebook with a kernel, whose runs are in a directory that tests can read, too. Warnings are errors in it."""
    directory = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACKER_URI", str(directory / "data"))
        patch.setenv("TRACKER_JOURNALS", str(directory / "journals"))
        patch.setenv("IPYTHONDIR", str(directory / "ipython"))
        book = Notebook(directory)
        try:
            book.run(
                "import warnings; warnings.filterwarnings('error', module='tracker')\nimport sys, logging, os, threading, tracker"
            ).well()
            yield book
        finally:
            book.close()
            PROCESS.end()


def logged(run: AioRunObject) -> str:
    """What a run printed, as its record has it."""

    async def read() -> str:
        pieces: list[str] = []

        async def take(text: str) -> None:
            pieces.append(text)

        await following.logs(run, take, watch=False, db=None, offset=0)
        return "".join(pieces)

    return asyncio.run(read())


def test_cells_work_on_one_run(notebook: Notebook) -> None:
    """A run that one cell begins is the one that the next cells log to, until it ends; the next one of that name is another."""
    first = notebook.run("context = tracker.get_or_create_ctx('cells', project='p'); context.uid").well()
    notebook.run("context.log_result('a', 1); tracker.get_or_create_ctx('cells', project='p').log_result('b', 2)").well()
    notebook.run("with tracker.get_or_create_ctx('cells') as same: same.log_result('c', 3)").well()
    assert notebook.run("print(context.uid, context.state, tracker.flush())").well().text() == f"{first.value[1:-1]} completed True\n"
    run = notebook.recorded(first.value, RunObject)
    assert run.wait_for_completion(timeout=30) == "completed"
    assert run.refresh().status.results == {"a": 1, "b": 2, "c": 3}
    again = notebook.run("again = tracker.get_or_create_ctx('cells', project='p'); again.commit(completed=True); again.uid").well()
    assert again.value != first.value


def test_the_console_is_recorded_cell_by_cell(notebook: Notebook) -> None:
    """What cells print from beginning to end of a run is recorded: by print, below Python, by handlers of logging that stood before."""
    begun = notebook.run("""
        before = logging.getLogger("before")
        before.addHandler(logging.StreamHandler(sys.stdout))
        print("too early")
        context = tracker.get_or_create_ctx("console", project="p", capture=True)
        print("first", "cell")
    """)
    assert begun.text() == "too early\nfirst cell\n"
    second = notebook.run("""
        print("second cell"); print("to stderr", file=sys.stderr)
        before.warning("by an old handler")
        logging.getLogger("during").addHandler(logging.StreamHandler(sys.stdout))
        os.write(1, b"below\\n")
        1 / 0
    """)
    assert second.error.startswith("ZeroDivisionError")
    assert (second.text("stderr"), "second cell\nby an old handler\n" in second.text()) == ("to stderr\n", True)
    uid = notebook.run("context.commit(completed=True); context.uid").well().value
    after = notebook.run("""
        print("too late"); before.warning("too late"); logging.getLogger("during").warning("too late"); tracker.flush()
        type(sys.stdout).__module__
    """).well()
    assert (after.text(), after.value) == ("too late\n" * 3, "'ipykernel.iostream'")
    recorded = logged(notebook.recorded(uid, AioRunObject))
    assert sorted(recorded.splitlines()) == sorted(["first cell", "second cell", "to stderr", "by an old handler", "below"])


FUNCTION = """
    factor = 2
    def scaled(x): return x * factor
    def train(context, x=1):
        print("training with", x)
        context.log_result("accuracy", scaled(x))
        return x + 1
"""


@pytest.mark.parametrize("options", ["", "subprocess=True"])
def test_a_function_of_a_cell_runs(notebook: Notebook, options: str) -> None:
    """A function that a cell defines, with what it uses of other cells, runs in this process and in another; what it prints is seen."""
    notebook.run(FUNCTION).well()
    cell = notebook.run(
        f"run = tracker.run_function(train, params={{'x': 3}}, project='p', returns=['next'], {options}); run.outputs"
    ).well()
    assert cell.value == "{'accuracy': 6, 'next': 4}"
    assert cell.text() == "training with 3\n"
    uid = notebook.run("tracker.flush(); run.uid()").well().value
    assert logged(notebook.recorded(uid, AioRunObject)) == "training with 3\n"
    assert notebook.run("run.logs()").well().text() == "training with 3\n"


def test_a_function_of_a_cell_is_searched_over_in_parallel(notebook: Notebook) -> None:
    """Hyper-parameters of a cell's function are tried in processes, and the run that comes back is shown as HTML, as is its table."""
    notebook.run(FUNCTION).well()
    cell = notebook.run("""
        run = tracker.run_function(
            train, hyperparams={"x": [1, 4, 2]}, selector="max.accuracy", hyper_param_options={"parallel_runs": 2}, project="p"
        )
        run.show()
    """)
    assert cell.error == ""
    for page in (cell.html, notebook.run("run").well().html):
        assert "best_iteration = 2" in page
        assert "<th>output.accuracy</th>" in page
    assert notebook.run("run.artifact('iteration_results').show()").well().html.count("<tr") == 4
    assert 'sandbox="allow-scripts"' in notebook.run("run.artifact('parallel_coordinates').show()").well().html


@pytest.mark.parametrize("options", ["subprocess=True", "hyperparams={'x': [1, 2]}, hyper_param_options={'parallel_runs': 2}"])
def test_a_function_that_cannot_leave_the_notebook_is_refused(notebook: Notebook, options: str) -> None:
    """A function that uses what no other process can have is refused with what that is, and the run says so, too."""
    notebook.run("""
        lock = threading.Lock()
        def stuck(x=1):
            with lock: return x
    """).well()
    cell = notebook.run(f"tracker.run_function(stuck, project='p', {options})")
    assert re.search(r"RunFailed: .* ended as error: .*stuck cannot go to another process \(.*cannot pickle '_thread.lock'", cell.error)


def test_a_cell_may_await(notebook: Notebook) -> None:
    """tracker.aio is awaited at the top of a cell, in the notebook's own loop; sync calls work while that loop runs."""
    notebook.run(FUNCTION).well()
    cell = notebook.run("""
        async def fit(context, x):
            await context.log_result("loss", 1 / x)
        async with tracker.aio.get_or_create_ctx("outer", project="p") as outer:
            run = await tracker.aio.run_function(fit, params={"x": 4}, project="p")
            await outer.log_result("inner", (await run.outputs)["loss"])
        blocking = tracker.run_function(fit, params={"x": 2}, project="p")
        await run.show()
        print(outer.state, outer.results, blocking.output("loss"), await run.wait_for_completion(), tracker.flush())
        run
    """).well()
    assert cell.text() == "completed {'inner': 0.25} 0.5 completed True\n"
    assert cell.html.count("loss = 0.25") == 2
    assert (
        "4 = "
        not in notebook.run(
            "import asyncio\nawait asyncio.gather(*(tracker.aio.run_function(train, params={'x': n}, project='p') for n in (1, 2)))"
        )
        .well()
        .html
    )


def test_data_is_shown(notebook: Notebook) -> None:
    """A frame is shown as a table, a page in a frame without rights, and a text as it is, by plain and by async code."""
    cell = notebook.run("""
        import pandas
        with tracker.get_or_create_ctx("data", project="p") as context:
            context.log_dataset("table", pandas.DataFrame({"a": [1, 2]}))
            context.log_artifact("page", body="<script>1</script>", format="html")
            context.log_artifact("note", body="said so", format="txt")
        for key in ("table", "page", "note"):
            tracker.get_dataitem(f"store://artifacts/p/{key}").show()
        await tracker.aio.get_dataitem("store://artifacts/p/note").show()
    """).well()
    assert 'class="dataframe"' in cell.html
    assert "&lt;script&gt;" in cell.html
    assert "<script" not in cell.html
    assert cell.text() == "said so\nsaid so\n"


def test_interrupting_the_kernel_aborts_the_run(notebook: Notebook, tmp_path: Path) -> None:
    """A cell that is interrupted leaves no run behind that goes on: it ends as aborted, and the next cell works."""
    begun = tmp_path / "begun"
    notebook.run(f"""
        import pathlib, time
        runs = []
        def long(context):
            runs.append(context)
            pathlib.Path({str(begun)!r}).touch()
            while True: time.sleep(0.01)
    """).well()
    cell = notebook.run("tracker.run_function(long, project='p')", lambda: until(begun.exists))
    assert cell.error.startswith("KeyboardInterrupt")
    assert notebook.run("runs[0].state, [t.name for t in threading.enumerate() if t.name == 'tracker-handler']").value == "('aborted', [])"
    assert notebook.run("runs[0].results").well().value == "{}"
