"""TAP for tests in Python: ok, same, skip, done; and where things are."""
import os
import subprocess
import sys
import tempfile

SOURCE = os.environ.get("SPAMSCORE_SOURCE", os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SPAMSCORE_BUILD", os.path.join(SOURCE, "build"))
SHARED = os.environ.get("SPAMSCORE_SHARED", os.path.join(SOURCE, "..", "shared"))
SPAMSCORE = os.path.join(BUILD, "cli", "spamscore")

_count = 0
_failed = 0


def ok(condition, label):
    global _count, _failed
    _count += 1
    if not condition:
        _failed += 1
    print(f"{'' if condition else 'not '}ok {_count} - {label}", flush=True)
    return bool(condition)


def note(text):
    for line in str(text).splitlines():
        print("# " + line.encode("unicode_escape").decode("ascii"), flush=True)


def same(got, want, label):
    if not ok(got == want, label):
        note(f" got: {got!r}")
        note(f"want: {want!r}")
        return False
    return True


def skip(label, why):
    global _count
    _count += 1
    print(f"ok {_count} - {label} # SKIP {why}", flush=True)


def skip_all(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def done():
    print(f"1..{_count}")
    sys.exit(1 if _failed else 0)


def corpus(name):
    """The folder of an unpacked corpus, or None where it is absent."""
    archive = os.path.join(SHARED, "corpora", name + ".tar.xz")
    target = os.path.join(BUILD, "corpora", name)
    if os.path.isdir(target):
        return target
    if not os.path.exists(archive):
        return None
    # several tests may unpack at once: the one that is ready first wins
    os.makedirs(os.path.dirname(target), exist_ok=True)
    scratch = tempfile.mkdtemp(prefix=name + ".", dir=os.path.dirname(target))
    os.chmod(scratch, 0o755)
    subprocess.run(["tar", "xJf", archive, "-C", scratch], check=True)
    try:
        os.rename(scratch, target)
    except OSError:
        subprocess.run(["rm", "-rf", scratch], check=True)
    return target


def run(*args, stdin=None, env=None, timeout=120):
    """exit code, stdout and stderr (bytes) of a command"""
    p = subprocess.run(args, input=stdin, capture_output=True, timeout=timeout,
                       env={**os.environ, **(env or {})})
    return p.returncode, p.stdout, p.stderr
