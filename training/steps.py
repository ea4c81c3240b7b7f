"""A step of each player, and the sums that the reports are made of."""

import torch
from torch import Tensor, nn

from training.chance import Purpose, seed_torch
from training.compilation import Compiled
from training.data import ImageSet
from training.dealer import Dealer, Hand
from training.game import Game
from training.losses import OBJECTIVES, class_loss
from training.penalties import gradient_penalty, squared_gradient
from training.schedules import cosine, linear_decay


class Steps:
    """The steps of a game on a data set."""

    def __init__(self, game: Game, data: ImageSet) -> None:
        self._game, self._config = game, game.config
        self._objective = OBJECTIVES[game.config.loss]
        self._dealer = Dealer(game, data)
        self._compiled = Compiled(game) if game.config.compile else None
        self._sums = torch.zeros(8, device=game.device)
        self._d_steps = self._g_steps = 0

    def set_schedules(self) -> None:
        """Rates, decays and the probability of augmentation for the next steps."""
        config, game = self._config, self._game
        share = game.images_seen / config.burnt_in_at if config.burnt_in_at else 1.0
        factor = cosine(1.0, config.lr_factor, share)
        factor *= linear_decay(game.images_seen / (config.kimg * 1000)) if config.lr_decay else 1.0
        beta2 = config.beta2 if config.beta2_end is None else cosine(config.beta2, config.beta2_end, share)
        for optimizer, rate in ((game.g_optimizer, config.g_lr), (game.d_optimizer, config.d_lr)):
            for group in optimizer.param_groups:
                group["lr"], group["betas"] = rate * factor, (config.beta1, beta2)
        self._gamma = cosine(1.0, config.gamma_factor, share)
        risen = cosine(0.0, config.augment_probability, share)
        self._augment_p = risen if game.adaptive is None else game.adaptive.probability

    def discriminator_step(self) -> None:
        """One ascent of D on what tells real images from generated ones."""
        game, config = self._game, self._config
        seed_torch(config.seed, game.images_seen, rank=game.team.rank)
        self._dealer.next_reals()
        penalised = (game.images_seen // config.batch_size) % config.penalty_every == 0
        penalised &= bool(config.r1_gamma or config.r2_gamma or config.gradient_penalty)
        game.d_optimizer.zero_grad()
        told = torch.zeros(5, device=game.device)
        for hand in self._dealer.hands(Purpose.DISCRIMINATOR_STEP, Purpose.AUGMENT_DISCRIMINATOR):
            loss, figures = self._discriminator_loss(hand, penalised=penalised)
            (loss / config.accumulate).backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
            told += figures / config.accumulate
        norm = self._step(game.discriminator, game.d_optimizer)
        if game.adaptive is not None:
            game.adaptive.saw(game.team.mean(told[3].clone()).item(), images=config.batch_size)
        game.images_seen += config.batch_size
        self._sums[:6] += torch.cat([told, norm[None]])
        self._d_steps += 1

    def generator_step(self) -> None:
        """One descent of G on its loss, with D held still."""
        game, config = self._game, self._config
        game.discriminator.requires_grad_(requires_grad=False)
        game.g_optimizer.zero_grad()
        for hand in self._dealer.hands(Purpose.GENERATOR_STEP, Purpose.AUGMENT_GENERATOR):
            loss, adversarial = self._generator_loss(hand)
            (loss / config.accumulate).backward()  # type: ignore[no-untyped-call]  # as above
            self._sums[6] += adversarial / config.accumulate
        game.discriminator.requires_grad_(requires_grad=True)
        self._sums[7] += self._step(game.generator, game.g_optimizer)
        self._g_steps += 1

    def means(self) -> dict[str, float]:
        """The figures of a report since the last call, as means over all processes."""
        sums = self._game.team.mean(self._sums.clone()).tolist()
        d_names = ("d_loss", "d_real", "d_fake", "d_sign", "penalty", "d_grad_norm")
        means = {name: value / self._d_steps for name, value in zip(d_names, sums[:6], strict=True)}
        means |= {"g_loss": sums[6] / self._g_steps, "g_grad_norm": sums[7] / self._g_steps}
        self._sums.zero_()
        self._d_steps = self._g_steps = 0
        return means | {"augment_p": self._augment_p if self._config.augment else 0.0}

    def _discriminator_loss(self, hand: Hand, *, penalised: bool) -> tuple[Tensor, Tensor]:
        """D's loss on a hand, and what is told of it: loss, D(x), D(G(z)), sign, penalty."""
        game, config = self._game, self._config
        with torch.no_grad(), self._autocast():
            fake = self._generate(hand).float()
        noisy = round(config.noise_share * len(fake))
        if noisy:
            # G leaves noise behind early on, and D, seeing no more of it, comes to call it real.
            fake = torch.cat([self._dealer.noise(fake[:noisy]), fake[noisy:]])
        real = hand.real
        if penalised:
            real.requires_grad_()
            fake.requires_grad_()
        with self._autocast(enabled=not penalised):
            every = self._judge(self._seen(real, hand.augmented[0]), penalised=penalised)
            fake_every = self._judge(self._seen(fake, hand.augmented[1]), penalised=penalised)
        real_logits = game.discriminator.choose(every, hand.real_class)
        fake_logits = game.discriminator.choose(fake_every, hand.fake_class)
        loss = self._objective.discriminator(real_logits, fake_logits)
        penalty = torch.zeros_like(loss)
        if penalised:
            penalty = config.penalty_every * self._penalty(hand, real, fake, real_logits, fake_logits)
        with torch.no_grad():
            compared = real_logits - fake_logits if self._objective.pairs else real_logits
            means = real_logits.sigmoid().mean(), fake_logits[noisy:].sigmoid().mean(), compared.sign().mean()
            figures = torch.stack([loss, *means, penalty])
        return self._with_class_loss(loss + penalty, every, hand.real_class), figures

    def _generator_loss(self, hand: Hand) -> tuple[Tensor, Tensor]:
        """G's loss on a hand, and without what it has from the classes."""
        game = self._game
        with self._autocast():
            every = self._judge(self._seen(self._generate(hand), hand.augmented[1]))
            fake_logits = game.discriminator.choose(every, hand.fake_class)
            real_logits = torch.zeros_like(fake_logits)
            if self._objective.pairs:
                with torch.no_grad():
                    real_every = self._judge(self._seen(hand.real, hand.augmented[0]))
                real_logits = game.discriminator.choose(real_every, hand.real_class)
        loss = self._objective.generator(fake_logits, real_logits)
        return self._with_class_loss(loss, every, hand.fake_class), loss.detach()

    def _penalty(self, hand: Hand, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """The weighted penalties on D's gradient, always in float32."""
        config, penalty = self._config, torch.zeros((), device=self._game.device)
        if config.r1_gamma:
            penalty = penalty + config.r1_gamma * self._gamma * squared_gradient(real_logits, real)
        if config.r2_gamma:
            penalty = penalty + config.r2_gamma * self._gamma * squared_gradient(fake_logits, fake)
        if config.gradient_penalty:

            def score(images: Tensor) -> Tensor:
                every = self._judge(self._seen(images, hand.augmented[0]), penalised=True)
                return self._game.discriminator.choose(every, hand.real_class)

            penalty = penalty + config.gradient_penalty * gradient_penalty(score, real, fake, hand.between)
        return penalty

    def _generate(self, hand: Hand) -> Tensor:
        generator = self._compiled.generator if self._compiled else self._game.generator
        images: Tensor = generator(hand.z, hand.fake_class)
        return images

    def _judge(self, images: Tensor, *, penalised: bool = False) -> Tensor:
        """D's logits under every class; a penalty needs second derivatives, which compiled networks do not have."""
        every: Tensor
        if self._compiled and not penalised:
            every = self._compiled.discriminator(images)
        else:
            every = self._game.discriminator.every(images)
        return every.float()

    def _seen(self, images: Tensor, chance: Tensor) -> Tensor:
        return self._dealer.augment(images, chance, probability=self._augment_p)

    def _with_class_loss(self, loss: Tensor, every: Tensor, class_id: Tensor | None) -> Tensor:
        if class_id is None or not self._config.class_weight:
            return loss
        return loss + self._config.class_weight * class_loss(every, class_id)

    def _autocast(self, *, enabled: bool = True) -> torch.autocast:
        wanted = enabled and self._config.precision == "bfloat16"
        return torch.autocast(self._game.device.type, dtype=torch.bfloat16, enabled=wanted)

    def _step(self, network: nn.Module, optimizer: torch.optim.Adam) -> Tensor:
        """Step on the gradients of all processes; returns their norm."""
        self._game.team.mean_gradients(network.parameters())
        norm = nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None])
        optimizer.step()
        return norm
