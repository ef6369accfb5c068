"""`python3 -m pytest` runs this, or `python3 test_stage.py`: no pipeline is needed."""

import gristmill
from stage import stage


def test_words_are_counted() -> None:
    result = gristmill.run(stage, [{"text": "two words"}, {"text": None}])
    assert result.rows == [{"text": "two words", "words": 2}]
    assert len(result.rejected) == 1


if __name__ == "__main__":
    test_words_are_counted()
    print("passed")
