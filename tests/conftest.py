"""`pyproject.toml` names the stage of the tests; the kit's plugin gives them the fixtures."""

import pytest

pytest.register_assert_rewrite("tests.answers")
