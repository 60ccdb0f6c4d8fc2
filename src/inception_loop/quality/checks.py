"""What is looked at in a recording: what each number says, and what to do where it is a sign of trouble."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["share", "count", "correlation", "change", "cm/s"]


@dataclass(frozen=True)
class Check:
    """One thing that is looked at.

    Attributes
    ----------
    key : name of the number and of its limits in `QualityRules`
    title : in a few words
    unit : how the number is written
    worse : on which side of its limits it is a sign of trouble; ``away``: far from 0 on either side
    says : the finding as a sentence; ``{}`` stands for the number, ``{repeats}`` for the rule of that name,
        ``{leakage}`` for that number
    advice : what to do where it is one
    absent : why the number is not known, where nothing more exact is
    in_order : whether it asks in which order the trials were shown
    """

    key: str
    title: str
    unit: Unit
    worse: Literal["above", "below", "away"]
    says: str
    advice: str
    absent: str
    in_order: bool = False


NO_TRIALS = "No trials were shown."
NO_EYE = "The eye was not recorded."
NO_RUNNING = "Running was not recorded."
NOT_BINNED = "Not recorded: the responses were handed over as one value a trial."
CHECKS = (
    Check(
        "trials_lost",
        "Trials lost",
        "share",
        "above",
        "{} of the trials are lost for other reasons than eye or running, and not left out on purpose.",
        "Read the reasons under “Trials”: missing flips point to the photodiode, trials outside the "
        "recording to a scan that ended early, lost responses to missing frames.",
        NO_TRIALS,
    ),
    Check(
        "training_trials",
        "Trials to learn from",
        "count",
        "below",
        "{} trials are left to learn from.",
        "Record longer, or mend what made trials fall out; so few trials teach a network little.",
        NO_TRIALS,
    ),
    Check(
        "validation_trials",
        "Trials to stop by",
        "count",
        "below",
        "{} trials of tier validation are used: training stops when it no longer predicts these better.",
        "With none there is nothing to stop by, with few it stops by chance: raise "
        "tiers.validation_fraction, or mend what made trials fall out.",
        NO_TRIALS,
    ),
    Check(
        "test_trials",
        "Trials to test on",
        "count",
        "below",
        "{} trials of tier test are used.",
        "Networks can be trained, but nothing says how good they are and no unit can be selected: show test "
        "images, set tiers.no_repeats to 'test_fraction', or ask whoever withheld the responses.",
        NO_TRIALS,
    ),
    Check(
        "eye_tracked",
        "Eye tracked",
        "share",
        "below",
        "The pupil was tracked in {} of the trials; the others cannot be used with it.",
        "See below where the pupil is lost: fit the eye video again, clear the camera’s view, or set "
        "missing.untracked to 'impute' if the eye matters little.",
        NO_EYE,
    ),
    Check(
        "pupil_change",
        "Pupil changes",
        "share",
        "below",
        "The pupil’s radius varies by {} of its mean only.",
        "A pupil that never changes, or whose radius is 0, is a frozen camera or a stuck fit: look at the "
        "eye video before training with it.",
        NO_EYE,
    ),
    Check(
        "gaze_change",
        "Gaze moves",
        "share",
        "below",
        "The pupil’s centre varies by {} of the radius only, across or up and down.",
        "Eyes of awake mice never rest: a centre that stands still is a stuck fit or a column that was never "
        "written. Look at the eye video before training with it.",
        NO_EYE,
    ),
    Check(
        "running_tracked",
        "Running tracked",
        "share",
        "below",
        "The running speed is known in {} of the trials; the others cannot be used with it.",
        "A wheel’s encoder loses nothing by itself: check its cable, and whether its file covers the "
        "session.",
        NO_RUNNING,
    ),
    Check(
        "top_speed",
        "Wheel turns",
        "cm/s",
        "below",
        "The wheel never turned faster than {}.",
        "Either the animal sat still for the whole session or the encoder was not plugged in: look at the "
        "video.",
        NO_RUNNING,
    ),
    Check(
        "frames_missing",
        "Frames missing",
        "share",
        "above",
        "The scanner’s clock has no frames for {} of the session.",
        "Frames were dropped: check the acquisition’s log and disk; trials in the gaps are interpolated.",
        NOT_BINNED,
    ),
    Check(
        "samples_filled",
        "Samples filled",
        "share",
        "above",
        "{} of the samples of the traces were lost and are interpolated.",
        "Find out what blanked the frames (light leaking from the monitor, a shutter, motion correction) "
        "before trusting the responses.",
        NOT_BINNED,
    ),
    Check(
        "silent_units",
        "Silent units",
        "share",
        "above",
        "{} of the units never change: the same response to every trial.",
        "Masks without a cell or a failed deconvolution: look at their traces, and leave them out of the "
        "recording.",
        "There are no units.",
    ),
    Check(
        "dropout",
        "Activity vanishes",
        "share",
        "above",
        "For {} of the session the units’ responses vary by less than a fifth of what is usual.",
        "Lost immersion water, a closed shutter or a lost plane: list the trials of that time in "
        "excluded_trials.",
        "Too few trials to tell.",
        in_order=True,
    ),
    Check(
        "drift",
        "Responses drift",
        "change",
        "away",
        "From the first to the last third of the session the mean response changes by {}.",
        "Bleaching, drying water or a sinking brain: compare the first and last mean images, and use the "
        "part of the session that is steady.",
        "Too few trials to tell.",
        in_order=True,
    ),
    Check(
        "lag1",
        "Successive trials alike",
        "correlation",
        "above",
        "Responses of successive trials correlate by {}; of that, {leakage} is gone three to five trials "
        "later.",
        "What is gone so soon comes from slow traces (see “Leaks into next trial”). What stays is a slow "
        "state of the animal, which eye and running may explain, or a drift of the recording: see below "
        "whether activity is steady. Trials that share either are not independent, and scores look too sure.",
        "Too few trials follow one another.",
        in_order=True,
    ),
    Check(
        "leakage",
        "Leaks into next trial",
        "correlation",
        "above",
        "Responses of successive trials correlate by {} more than those of trials 3 to 5 apart.",
        "The traces are too slow: each response holds a part of the last one. Deconvolve them, or hand them "
        "over as what they are (trace_kind 'dff') and set raw_fluorescence.policy to 'oasis'.",
        "Too few trials follow one another.",
        in_order=True,
    ),
    Check(
        "oracle",
        "Median oracle",
        "correlation",
        "below",
        "The other repeats of an image predict the median unit’s response to it with a correlation of {} "
        "only (test images with {repeats} or more used trials).",
        "The units hardly answer to the images: check that images and responses are aligned (flips, clocks, "
        "order of the trials) before anything else.",
        "No two test images have {repeats} or more used trials.",
    ),
    Check(
        "repeated_images",
        "Repeated test images",
        "count",
        "below",
        "{} test images have {repeats} or more trials that are used.",
        "Networks can be trained, but how reliable a unit is stays unknown: units cannot be selected for "
        "images. Show about 100 images ten times each, and mend what made trials fall out.",
        NO_TRIALS,
    ),
    Check(
        "lookalikes",
        "Test images seen before",
        "share",
        "above",
        "{} of the test images look like an image of another tier.",
        "Test scores would be too good: give both images one source_id, or set tiers.near_duplicates to "
        "'same_tier'.",
        "Images were not compared, or no test image was used.",
    ),
    Check(
        "pairs_across_tiers",
        "Look-alikes across tiers",
        "count",
        "above",
        "{} pairs of images of the group look alike and have different tiers.",
        "What is learnt from one is known of the other: give both images one source_id, or set "
        "tiers.near_duplicates to 'same_tier'.",
        "Images were not compared.",
    ),
    Check(
        "sources_in_two_tiers",
        "Photographs in two tiers",
        "count",
        "above",
        "{} photographs of the group were cut into images of different tiers.",
        "Tiers given by the source or by repeats pull them apart: leave one of the images out, or let the "
        "tiers be drawn; else test scores are too good.",
        "Sources of images were not compared.",
    ),
)
