"""The figures and statements of Hinton, Vinyals & Dean 2015 (arXiv 1503.02531), as data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """What the paper says, and where."""

    where: str
    text: str


# Section 3, MNIST: wrong ones of the 10,000 test images.
ERRORS = {
    "big": 67,
    "small": 146,
    "distilled": 74,
    "no_3s": 206,
    "no_3s_corrected": 109,
    "only_7s_8s": 4730,
    "only_7s_8s_corrected": 1320,
}
ERRORS_ON_THREES = {"no_3s": 133, "no_3s_corrected": 14}  # of 1010
THREES = 1010
THREES_RIGHT = 0.986
GAP_CLOSED = (ERRORS["small"] - ERRORS["distilled"]) / (ERRORS["small"] - ERRORS["big"])
BIAS_SHIFT = {"no_3s_corrected": 3.5, "only_7s_8s_corrected": 7.6}  # the first up, the second down
FACTOR_7S_8S = ERRORS["only_7s_8s"] / ERRORS["only_7s_8s_corrected"]

# Section 3, temperature against width.
WIDE, FLAT_FROM = 300, 8.0
NARROW, NARROW_BEST = 30, (2.5, 4.0)

# Section 4, table 1: shares of 1.
FRAME_ACCURACY = {"baseline": 0.589, "ensemble": 0.611, "distilled": 0.608}
WER = {"baseline": 0.109, "ensemble": 0.107, "distilled": 0.107}
ENSEMBLE_GAIN = FRAME_ACCURACY["ensemble"] - FRAME_ACCURACY["baseline"]
KEPT_AT_LEAST = 0.80  # in words; by the table 0.86
KEPT = (FRAME_ACCURACY["distilled"] - FRAME_ACCURACY["baseline"]) / ENSEMBLE_GAIN
MEMBERS = 10
TEMPERATURES, BEST_TEMPERATURE = (1.0, 2.0, 5.0, 10.0), 2.0

# Section 5, tables 3 and 4: top-1 accuracy on JFT, and its relative change by how many specialists cover the class.
TOP_1 = {"generalist": 0.250, "specialists": 0.261}
SPECIALISTS_GAIN = TOP_1["specialists"] / TOP_1["generalist"] - 1
GAIN_BY_COVERAGE = (0.000, 0.034, 0.074, 0.088, 0.105, 0.111, 0.113, 0.128, 0.136, 0.166, 0.141)  # the last: 10 or more

# Section 6, table 5: frame accuracy on the frames trained on, and on test.
FRACTION = 0.03
FULL = (0.634, 0.589)
HARD_PART = (0.673, 0.445)
SOFT_PART = (0.654, 0.570)
SHARE_OF_FULL = SOFT_PART[1] / FULL[1]
RECOVERED = (SOFT_PART[1] - HARD_PART[1]) / (FULL[1] - HARD_PART[1])

GAP = Statement("section 3", "distilled at T = 20, the small net closes 91 % of its gap to the big one")
UNSEEN = Statement(
    "section 3", "a student that never saw a 3 gets 98.6 % of them right, once the bias of 3 is corrected"
)
FEWER_ERRORS = Statement("section 3", "the corrected bias of 3 takes its errors from 206 to 109")
TWO_DIGITS = Statement("section 3", "with 7s and 8s alone, corrected biases take the error from 47.3 % to 13.2 %")
LIMIT = Statement("section 2.1", "as T grows, distillation becomes the matching of logits")
FLAT = Statement("section 3", "with 300 or more units a layer, all T above 8 are fairly similar")
PEAK = Statement("section 3", "with 30 units a layer, T from 2.5 to 4 is significantly better than higher or lower")
ENSEMBLE = Statement("table 1", "an ensemble of 10 has 2.2 points of frame accuracy more than one of its nets")
STUDENT = Statement("table 1", "one distilled net keeps more than 80 % of the ensemble's gain in frame accuracy")
WORDS = Statement("table 1", "it keeps all of the ensemble's gain in WER, 0.2 points")
TEMPERATURE = Statement("section 4", "of the temperatures 1, 2, 5 and 10, 2 is best")
SPECIALISTS = Statement("table 3", "61 specialists raise the accuracy by 4.4 % relative")
COVERAGE = Statement("table 4", "the gain grows with the number of specialists that cover the correct class")
PART = Statement("table 5", "soft targets get 97 % of the full data's accuracy out of 3 % of it")
REGAINED = Statement("table 5", "of what hard targets lose on 3 % of the data, soft ones make up 87 %")
NO_STOPPING = Statement("section 6", "hard targets over-fit 3 % of the data, soft ones need no early stopping")
