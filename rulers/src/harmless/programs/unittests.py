"""Runs tests of CPython's own suite: `unittests.py OUTPUT MODULE [TEST…]`. Each test's outcome is a line `OUTCOME TEST` in OUTPUT, written at once."""
import faulthandler
import os
import sys
import time
import unittest
from test import support

# Nothing that needs the network, a lot of memory or much time.
support.use_resources = []
support.verbose = 0
# Beginnings of names.
LEFT_OUT = tuple(os.environ.get("LEFT_OUT", "").split())
# The worst of a test's own outcome and its parts' counts.
ORDER = ["passed", "skipped", "expected failure", "failed", "error"]


class Outcomes(unittest.TestResult):
    def __init__(self, file):
        super().__init__()
        self.file, self.worst = file, {}

    def tell(self, test, outcome):
        self.worst[test.id()] = max(self.worst.get(test.id(), "passed"), outcome, key=ORDER.index)

    def startTest(self, test):
        super().startTest(test)
        faulthandler.dump_traceback_later(120, exit=True)
        self.tell(test, "passed")
        self.began = time.monotonic()

    def stopTest(self, test):
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()
        self.write(test.id())
        print(f"{time.monotonic() - self.began:6.2f} s {test.id()}", flush=True)

    def write(self, name):
        print(self.worst[name], name, file=self.file, flush=True)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.tell(test, "skipped")
        if not hasattr(test, "_testMethodName"):
            self.write(test.id())

    def addExpectedFailure(self, test, error):
        self.tell(test, "expected failure")

    def addUnexpectedSuccess(self, test):
        self.tell(test, "failed")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.tell(test, "failed")
        print(self.failures[-1][1], flush=True)

    def addError(self, test, error):
        super().addError(test, error)
        self.tell(test, "error")
        print(self.errors[-1][1], flush=True)
        if not hasattr(test, "_testMethodName"):
            # A class or a module that could not be set up is no test, and is not stopped.
            self.write(test.id())

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error:
            self.tell(test, "failed")
            print(self._exc_info_to_string(error, test), flush=True)


def only(suite, names):
    """The tests of a suite that are among `names` if there are any, and not left out, in its order."""
    kept = unittest.TestSuite()
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            kept.addTest(only(test, names))
        elif test.id() in names or not names and not test.id().startswith(LEFT_OUT):
            kept.addTest(test)
    return kept


def main():
    output, module, names = sys.argv[1], sys.argv[2], set(sys.argv[3:])
    suite = unittest.defaultTestLoader.loadTestsFromName(module)
    with open(output, "w") as file:
        only(suite, names).run(Outcomes(file))


main()
