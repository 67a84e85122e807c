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
    with pytest.raises(ValueError, match="largest, centre, locked"):
        PartnerOptions(strategy="tallest")
