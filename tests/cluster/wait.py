"""Waiting, always with a deadline that says what was waited for."""

import time


def until(condition, seconds, what, every=0.02):
    """Returns condition()'s first true value. One that raises OSError, RuntimeError or ValueError counts as not yet."""
    end = time.monotonic() + seconds
    while True:
        trouble = None
        try:
            value = condition()
            if value:
                return value
        except (OSError, RuntimeError, ValueError) as error:
            trouble = error
        if time.monotonic() >= end:
            raise TimeoutError(f"not within {seconds} s: {what}" + (f" ({trouble})" if trouble else ""))
        time.sleep(every)
