"""A page in a real headless Chromium: what a script finds there, and everything that the page complained of.

Only the browser is needed, no driver: the script writes what it finds into the page, which Chromium prints.
"""

import html
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)
AXE = os.environ.get("AXE_JS")  # node_modules/axe-core/axe.min.js, where it is
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")

LISTEN = """<script>
window.complaints = [];
window.addEventListener("error", (e) => complaints.push(String(e.message || e.target.src || e.target.href)), true);
window.addEventListener("unhandledrejection", (e) => complaints.push(String(e.reason)));
for (const level of ["error", "warn"]) console[level] = (...text) => complaints.push(text.join(" "));
</script>"""
TELL = """<script>
window.addEventListener("load", async () => {
  const told = document.createElement("pre");
  let found;
  try { found = await (async () => { %s })(); } catch (e) { complaints.push("the test: " + e.stack); }
  told.id = "told-to-the-test";
  told.textContent = JSON.stringify({ found, complaints });
  document.body.append(told);
});
</script>"""


def visit(page: str, script: str, folder: Path, *, axe: bool = False, width: int = 1280) -> Any:
    """What `script` (a JavaScript function body, which may await) returns on this page. No complaint is borne."""
    parts = [f"<script>{Path(AXE or '').read_text(encoding='utf-8')}</script>" if axe else "", TELL % script]
    path = folder / "visited.html"
    path.write_text(page.replace("<head>", "<head>" + LISTEN, 1).replace("</body>", "".join(parts) + "</body>"))
    printed = chromium("--dump-dom", "--virtual-time-budget=20000", f"--window-size={width},900", path.as_uri())
    told = re.search(r'<pre id="told-to-the-test">(.*?)</pre>', printed, re.DOTALL)
    assert told, printed[-2000:]
    found = json.loads(html.unescape(told[1]))
    assert found["complaints"] == []
    return found["found"]


# How much wider each root is than what stands under it: its sign, which goes where no font has one.
ROOTS = """
const width = (part) => part.getBoundingClientRect().width;
const under = (root) => [...root.children].reduce((sum, child) => sum + width(child), 0);
return [...document.querySelectorAll("msqrt")].map((root) => width(root) - under(root));
"""
PHONE = """
const frame = document.getElementById("phone");
return await (async (document, window) => { %s })(frame.contentDocument, frame.contentWindow);
"""


def on_phone(page: str, script: str, folder: Path, *, width: int = 390) -> Any:
    """The same in a window as narrow as a phone's, which a window of Chromium's own cannot be."""
    style = f"width: {width}px; height: 800px; border: 0"
    frame = f'<iframe id="phone" style="{style}" srcdoc="{html.escape(page)}"></iframe>'
    return visit(f"<html><head></head><body>{frame}</body></html>", PHONE % script, folder)


def chromium(*arguments: str) -> str:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:  # of its own: two may run at once
        command = [
            CHROMIUM or "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            f"--user-data-dir={profile}", *arguments,
        ]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


ACCESSIBILITY = """
const told = await axe.run(document, { resultTypes: ["violations"] });
return told.violations.filter((v) => ["serious", "critical"].includes(v.impact))
  .map((v) => `${v.id}: ${v.nodes.length} × ${v.nodes[0].html} ${v.nodes[0].failureSummary}`);
"""
