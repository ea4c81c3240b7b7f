import torch

from tests.training.conftest import small_config
from training.chance import Purpose
from training.data import Split
from training.dealer import Dealer, Hand
from training.game import new_game


def _hand(digits: Split, **settings: object) -> Hand:
    dealer = Dealer(new_game(small_config(**settings), digits.train), digits.train)
    dealer.next_reals()
    (hand,) = dealer.hands(Purpose.DISCRIMINATOR_STEP, Purpose.AUGMENT_DISCRIMINATOR)
    return hand


def test_a_loss_of_pairs_sets_images_of_one_class_against_each_other(digits: Split) -> None:
    paired, alone = (_hand(digits, loss=loss) for loss in ("relativistic", "hinge"))
    assert paired.real_class is not None
    assert paired.fake_class is not None
    assert alone.fake_class is not None
    assert torch.equal(paired.fake_class, paired.real_class)
    assert not torch.equal(alone.fake_class, paired.real_class)


def test_the_other_draws_do_not_depend_on_the_loss(digits: Split) -> None:
    paired, alone = (_hand(digits, loss=loss) for loss in ("relativistic", "hinge"))
    assert torch.equal(paired.z, alone.z)
    assert torch.equal(paired.real, alone.real)


def test_without_classes_there_is_nothing_to_pair_by(digits: Split) -> None:
    hand = _hand(digits, loss="relativistic", conditional=False)
    assert hand.real_class is None
    assert hand.fake_class is None
