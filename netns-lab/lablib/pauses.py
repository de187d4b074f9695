"""A fault's pause held against a bound, on a machine that makes pauses of its own."""
import statistics

from .traffic import longest_gap

BEFORE_S = 1.0
CALM_S = 0.2                 # longer ones without a fault: the machine shows nothing about the product now


class Pauses:
    """Rule: a round counts when the longest pause of the same stream in the second before its fault is CALM_S at most; the
    median pause of `wanted` such rounds is at most `allowed_s` beyond the median of those before. So never more than
    allowed_s + CALM_S in all. Fewer calm rounds than wanted among rounds_max: not met."""

    def __init__(self, lab, allowed_s, wanted=5, rounds_max=15):
        self.lab, self.allowed_s, self.wanted, self.rounds_max = lab, allowed_s, wanted, rounds_max
        self.rounds, self.counted = 0, []        # of (before s, pause s)

    def rest(self):
        """Numbers of the rounds that are still needed."""
        while len(self.counted) < self.wanted and self.rounds < self.rounds_max:
            yield self.rounds
            self.rounds += 1

    def add(self, stream, moment):
        """The pauses of a stopped stream before and after the moment of its fault."""
        quiet = [t for t in stream.replied() if moment - BEFORE_S <= t < moment]
        before = max(0.0, longest_gap(quiet)[0] - stream.interval_s)
        pause = stream.gap_s(moment)
        calm = before <= self.lab.limit(CALM_S)
        self.lab.step(f"the pause: {pause * 1000:.0f} ms; in the second before: {before * 1000:.0f} ms"
                      + ("" if calm else "; too much to count"))
        if calm:
            self.counted.append((before, pause))

    def judge(self):
        self.lab.figure("calm_rounds", len(self.counted), f"of {self.rounds}")
        self.lab.check("the machine was calm often enough", len(self.counted) >= self.wanted, self.counted)
        before, pause = (statistics.median(column) for column in zip(*self.counted))
        self.lab.figure("gap_median", pause * 1000)
        self.lab.figure("gap_worst", max(p for _, p in self.counted) * 1000)
        self.lab.figure("without_fault_median", before * 1000)
        self.lab.check(f"the median pause is {self.allowed_s} s at most beyond the median without a fault",
                       pause <= self.lab.limit(self.allowed_s) + before, self.counted)
