import subprocess
import sys

import pytest

ASK = """
import resource, sys
from orchestrator.processes.files import allow_files
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
allow_files(500)
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "expected"), [(100, 1000, "500 1000"), (100, 300, "300 300"), (700, 1000, "700 1000")]
)
def test_as_many_files_may_be_open_as_agents_need(soft, hard, expected):
    """The limit is raised to what is asked for, never beyond what the system allows, and never lowered."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(soft), str(hard)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == expected
