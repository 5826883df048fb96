"""Every finding has its row in docs/doctor.md, and every row its finding."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMED_BY_VARIABLE = {"truncated", "split", "targets", "long-answers"}  # Finding(name, ...)


def made():
    folders = [ROOT / "minibert" / name for name in ("doctor", "checkup")]
    text = "\n".join(path.read_text("utf-8") for folder in folders for path in folder.rglob("*.py"))
    return set(re.findall(r'Finding\(\s*"([a-z-]+)"', text)) | NAMED_BY_VARIABLE


def documented():
    page = (ROOT / "docs" / "doctor.md").read_text("utf-8")
    first_cells = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \|", page, re.MULTILINE)
    return {name for cell in first_cells for name in re.findall(r"`([a-z-]+)`", cell)}


def test_the_page_lists_the_findings_that_there_are():
    assert len(made()) > 30
    assert documented() == made()
