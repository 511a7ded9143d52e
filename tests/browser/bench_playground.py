"""How fast the playground feels, in a real browser: the last part of `make bench`.

Not collected with the tests: a figure is no test, and these machines are noisy.
"""

import json
import statistics
from datetime import date

import pytest
from playwright.sync_api import expect

from gpt_lib.device import device_info, pick_device
from gpt_lib.experiments.results import BENCH_RESULTS
from tests.browser.test_workbench import cell, generate, set_box, status

TARGET = BENCH_RESULTS.with_name("playground.json")
ROUNDS = 15

# Resolves with the milliseconds from an event of one kind to a change of the page.
WATCH = """([event, target]) => {
    window.delay = new Promise((resolve, reject) => {
        setTimeout(() => reject(new Error("nothing changed")), 10000);
        document.addEventListener(event, () => {
            const begun = performance.now();
            const seen = new MutationObserver(() => {
                if (!document.querySelector(target.appears)) return;
                seen.disconnect();
                requestAnimationFrame(() => resolve(performance.now() - begun));
            });
            const box = document.querySelector(target.inside);
            seen.observe(box, {childList: true, subtree: true, characterData: true});
        }, {capture: true, once: true});
    });
}"""


def delay(page, event, appears, inside, act):
    page.evaluate(WATCH, [event, {"appears": appears, "inside": inside}])
    act()
    return page.evaluate("window.delay")


class Kernel:
    """Runs code in the lesson's kernel, through one of its cells."""

    def __init__(self, lesson):
        self.lesson, self.code = (
            lesson,
            "from gpt_lib.experiments.ladder import read_test_losses",
        )

    def run(self, source):
        self.lesson.replace(self.code, f"# scratch\n{source}")
        self.code = "# scratch"
        found = self.lesson.cell(self.code)
        return found.locator(".jp-OutputArea-output").last.inner_text()


@pytest.fixture
def bench(open_lesson):
    lesson = open_lesson("00_device", height=1500)
    cell(lesson, "from gpt_lib import views")
    source = (
        'generators = {"GPT": TextGenerator(gpt, tokenizer)}\n'
        'bench = Workbench(generators, "JULIET:\\n")\n'
        "bench"
    )
    cell(lesson, "Workbench(")
    lesson.replace("Workbench(", source)
    app = lesson.page.locator(".gpt-workbench")
    app.wait_for()
    return lesson, app, Kernel(lesson)


def first_character(lesson, app):
    """Milliseconds from the click to the first character on the page."""
    button, delays = app.get_by_role("button", name="Generate"), []
    for _ in range(ROUNDS):
        generate(app, 5)
        cleared = ".gpt-token"
        set_box(app, "Seed", len(delays) + 2)
        delays.append(
            delay(lesson.page, "click", cleared, ".gpt-generated-text", button.click)
        )
        expect(status(app)).to_contain_text("done")
    return statistics.median(delays)


def reshaped(lesson, app):
    """Milliseconds from a key on the slider to new bars."""
    generate(app, 20)
    app.locator(".gpt-token").nth(7).click()
    slider, delays = app.get_by_role("slider", name="Temperature"), []
    slider.focus()
    for number in range(ROUNDS):
        key = "ArrowLeft" if number % 4 < 2 else "ArrowRight"
        press_key = lambda key=key: slider.press(key)  # noqa: E731
        delays.append(
            delay(
                lesson.page, "keydown", ".gpt-next-token", ".gpt-next-token", press_key
            )
        )
        lesson.page.wait_for_timeout(100)
    return statistics.median(delays)


def streaming(lesson, app, kernel):
    """Speed with the widget over speed without, in turns in one kernel."""
    ratios = []
    for turn in range(3):
        alone = kernel.run(
            f"import time; turn = {turn}\n"
            "ids = generators['GPT'].encode('JULIET:\\n')\n"
            "begun = time.monotonic()\n"
            "for _ in generators['GPT'].generate(ids, 500): pass\n"
            "print(500 / (time.monotonic() - begun))"
        )
        generate(app, 500)
        speed = status(app).inner_text().split(" tokens/s")[0].split()[-1]
        ratios.append(float(speed.replace(",", "")) / float(alone))
    return statistics.median(ratios)


def late_update(lesson, app, kernel):
    """Milliseconds of kernel and of page for 40 more tokens after 2,000."""
    generate(app, 20)
    session = lesson.page.context.new_cdp_session(lesson.page)
    session.send("Performance.enable")

    def busy():
        metrics = session.send("Performance.getMetrics")["metrics"]
        return next(m["value"] for m in metrics if m["name"] == "TaskDuration")

    column = "column = bench.columns[0]; text = column.text; import statistics, time\n"
    kernel.run(
        column + "for n in range(1980): text.append(1 + n % 60, 0.5)\n"
        "column.show(text); print(text.count_generated_tokens())"
    )
    lesson.page.wait_for_timeout(1_000)
    idle = busy()
    lesson.page.wait_for_timeout(3_000)
    idle = busy() - idle
    begun = busy()
    in_kernel = kernel.run(
        column + "times = []\n"
        "for _ in range(25):\n"
        "    for _ in range(40): text.append(7, 0.5)\n"
        "    begun = time.perf_counter(); column.show(text)\n"
        "    times.append(time.perf_counter() - begun); time.sleep(0.1)\n"
        "print(1000 * statistics.median(times))"
    )
    return float(in_kernel), 1000 * (busy() - begun - idle) / 25


def memory(lesson, app, kernel):
    """MiB that the kernel grows over 50 generations, after 10 to warm up."""
    size = "import psutil\nprint(psutil.Process().memory_info().rss / 2**20)"
    sizes = []
    for count in (10, 50):
        for _ in range(count):
            generate(app, 60)
        sizes.append(float(kernel.run(size)))
    return sizes[1] - sizes[0]


def test_measure(bench):
    lesson, app, kernel = bench
    print()
    in_kernel, in_page = late_update(lesson, app, kernel)
    figures = {
        "click to first character, ms": first_character(lesson, app),
        "slider to redrawn bars, ms": reshaped(lesson, app),
        "speed with the widget over without": streaming(lesson, app, kernel),
        "40 tokens more after 2,000: kernel, ms": in_kernel,
        "40 tokens more after 2,000: page, ms": in_page,
        "growth of the kernel over 50 generations, MiB": memory(lesson, app, kernel),
    }
    for name, figure in figures.items():
        print(f"{figure:8.2f}  {name}")
    machine = device_info(str(pick_device()))
    content = {"machine": machine, "date": date.today().isoformat(), "figures": figures}
    TARGET.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
