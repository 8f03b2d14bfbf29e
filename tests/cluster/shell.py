"""Commands of the machine, with a deadline, and with what they said in the error."""

import subprocess


class Failed(RuntimeError):
    """A command that ended with an error."""


def run(*arguments, seconds=30, check=True, text_in=None, env=None):
    """Its standard output."""
    arguments = [str(argument) for argument in arguments]
    feed = {"stdin": subprocess.DEVNULL} if text_in is None else {"input": text_in}
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, errors="replace", timeout=seconds, env=env,
                              check=False, **feed)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"`{' '.join(arguments)}` did not end within {seconds} s") from error
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise Failed(f"`{' '.join(arguments)}` ended with {done.returncode}: {said[-2000:]}")
    return done.stdout


def succeeds(*arguments, seconds=30):
    try:
        run(*arguments, seconds=seconds)
        return True
    except Failed:
        return False
