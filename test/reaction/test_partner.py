# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import pytest

from emotion_perception.reaction.partner import Candidate, PartnerChooser, PartnerOptions


def seen(face_id, area=100.0, offset=0.5, **more):
    return Candidate(face_id=face_id, area=area, offset=offset, **more)


def test_largest_does_not_take_turns_between_two_alike():
    chooser = PartnerChooser()
    assert chooser.choose([seen("f1", 100), seen("f2", 90)], 0.0) == "f1"
    assert chooser.choose([seen("f1", 100), seen("f2", 110)], 0.1) == "f1"
    assert chooser.choose([seen("f1", 100), seen("f2", 130)], 0.2) == "f2"
    assert chooser.choose([], 0.3) == ""


def test_centre():
    chooser = PartnerChooser(PartnerOptions(strategy="centre"))
    assert chooser.choose([seen("f1", 500, 0.8), seen("f2", 90, 0.1)], 0.0) == "f2"


def test_locked_waits_for_its_partner():
    chooser = PartnerChooser(PartnerOptions(strategy="locked", patience=2.0))
    assert chooser.choose([seen("f1", 100), seen("f2", 90)], 0.0) == "f1"
    assert chooser.choose([seen("f1", 100), seen("f2", 900)], 1.0) == "f1"
    assert chooser.choose([seen("f2", 900)], 2.5) == ""
    assert chooser.choose([seen("f1", 100), seen("f2", 900)], 2.9) == "f1"
    assert chooser.choose([seen("f2", 900)], 5.0) == "f2"


def test_a_named_face():
    chooser = PartnerChooser(PartnerOptions(strategy="face_id", face_id="f2"))
    assert chooser.choose([seen("f1", 900), seen("f2", 10)], 0.0) == "f2"
    assert chooser.choose([seen("f1", 900)], 0.1) == ""


def test_the_patient_and_nobody_else():
    chooser = PartnerChooser(PartnerOptions(strategy="enrolled"))
    others = [seen("f1", 900, likeness=0.1), seen("f2", 10, likeness=0.7, is_patient=True)]
    assert chooser.choose(others, 0.0) == "f2"
    assert chooser.choose(others[:1], 0.1) == ""


def test_a_picture_is_nobody_while_somebody_is_there():
    chooser = PartnerChooser()
    assert chooser.choose([seen("f1", 900, alive=False), seen("f2", 90)], 0.0) == "f2"
    assert chooser.choose([seen("f1", 900, alive=False)], 0.1) == "f1"


def test_unknown_strategy():
    with pytest.raises(
        ValueError, match=r"partner strategy: .* largest, centre, locked.*'tallest'"
    ):
        PartnerOptions(strategy="tallest")


@pytest.mark.parametrize(("area", "partner"), [(114.0, "f1"), (116.0, "f2")])
def test_how_much_larger_somebody_must_be_to_take_over(area, partner):
    chooser = PartnerChooser()
    chooser.choose([seen("f1", 100.0)], 0.0)
    assert chooser.choose([seen("f2", area), seen("f1", 100.0)], 0.1) == partner


def test_the_margin_is_an_option_and_at_it_the_other_takes_over():
    chooser = PartnerChooser(PartnerOptions(margin=2.0))
    chooser.choose([seen("f1", 100.0)], 0.0)
    assert chooser.choose([seen("f1", 100.0), seen("f2", 199.0)], 0.1) == "f1"
    assert chooser.choose([seen("f1", 100.0), seen("f2", 200.0)], 0.2) == "f2"


@pytest.mark.parametrize(("offset", "partner"), [(0.38, "f1"), (0.25, "f2")])
def test_how_much_nearer_to_the_middle_somebody_must_be(offset, partner):
    chooser = PartnerChooser(PartnerOptions(strategy="centre"))
    chooser.choose([seen("f1", offset=0.4)], 0.0)
    assert chooser.choose([seen("f1", offset=0.4), seen("f2", offset=offset)], 0.1) == partner


def test_two_in_the_middle_do_not_take_turns():
    chooser = PartnerChooser(PartnerOptions(strategy="centre"))
    chooser.choose([seen("f1", offset=0.005)], 0.0)
    assert chooser.choose([seen("f1", offset=0.005), seen("f2", offset=0.0)], 0.1) == "f1"


def test_the_patience_of_a_locked_partner():
    chooser = PartnerChooser(PartnerOptions(strategy="locked", patience=2.0))
    chooser.choose([seen("f1")], 0.0)
    chooser.choose([seen("f1")], 1.0)  # and counts from the last time
    assert chooser.choose([seen("f2")], 3.0) == ""
    assert chooser.choose([seen("f2")], 3.1) == "f2"
    assert PartnerOptions().patience == 3.0


def test_a_locked_partner_is_kept_where_the_others_are_pictures_or_larger():
    chooser = PartnerChooser(PartnerOptions(strategy="locked"))
    chooser.choose([seen("f1")], 0.0)
    assert chooser.choose([seen("f1", alive=False), seen("f2", 900)], 0.1) == "f1"


@pytest.mark.parametrize("strategy", ["largest", "locked"])
def test_time_that_jumps_back_begins_anew(strategy):
    chooser = PartnerChooser(PartnerOptions(strategy=strategy))
    both = [seen("f1", 100.0), seen("f2", 110.0)]
    chooser.choose(both[:1], 9.0)
    assert chooser.choose(both, 9.0) == "f1"
    assert chooser.choose(both, 1.0) == "f2"


def test_the_likeliest_patient():
    chooser = PartnerChooser(PartnerOptions(strategy="enrolled"))
    both = [
        seen("f1", likeness=0.6, is_patient=True), seen("f2", likeness=0.7, is_patient=True),
        seen("f3", likeness=0.9),
    ]  # fmt: skip
    assert chooser.choose(both, 0.0) == "f2"
    assert chooser.choose([], 0.1) == ""
