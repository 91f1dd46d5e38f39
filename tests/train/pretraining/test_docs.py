"""What docs/pretraining.md tells to run."""

import json
import re
import subprocess
import sys

from tests.modeling_clinx.models import PROJECT


TEXT = "La paciente refiere dolor torácico de tres horas de evolución, no tiene fiebre ni disnea ni otros síntomas {}."
TMX = """<tmx><body>
<tu><tuv xml:lang="en"><seg>{en}</seg></tuv><tuv xml:lang="es"><seg>{es}</seg></tuv></tu>
<tu><tuv xml:lang="es-MX"><seg>{es}</seg></tuv></tu></body></tmx>"""
DUBLIN_CORE = """<records xmlns:dc="http://purl.org/dc/elements/1.1/"><record>
<dc:description xml:lang="es">{es}</dc:description><dc:description xml:lang="en">{en}</dc:description>
<dc:title xml:lang="es">Corto</dc:title></record></records>"""


def test_the_script_of_the_docs_writes_the_spanish_texts(tmp_path):
    docs = (PROJECT / "docs/pretraining.md").read_text()
    (script,) = (code for code in re.findall(r"```python\n(.*?)```", docs, re.S) if "spanish.py" in code)
    (tmp_path / "spanish.py").write_text(script)
    (tmp_path / "a.tmx").write_text(TMX.format(es=TEXT.format(1), en="x" * 200))
    (tmp_path / "b.xml").write_text(DUBLIN_CORE.format(es=TEXT.format(2), en="x" * 200))
    command = [sys.executable, "spanish.py", "a.tmx", "b.xml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    texts = [json.loads(line)["text"] for line in done.stdout.splitlines()]
    assert texts == [TEXT.format(1), TEXT.format(1), TEXT.format(2)]
