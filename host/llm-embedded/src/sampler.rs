//! The choice of the next token from the scores. Equal seeds give equal choices.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// How to choose.
pub(super) struct Sampler {
    temperature: f32,
    top_p: f32,
    random: ChaCha8Rng,
}

impl Sampler {
    /// At temperature 0 the best token is taken each time. `top_p` leaves out the least likely ones: Holtzman et al.,
    /// "The Curious Case of Neural Text Degeneration" (2019).
    pub(super) fn new(temperature: f32, top_p: f32, seed: u64) -> Self {
        Self {
            temperature: temperature.clamp(0.0, 2.0),
            top_p: top_p.clamp(0.0, 1.0),
            random: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// The token to go on with of those that may come; none if none may. Whatever may not is left out, and the choice made again.
    pub(super) fn choose_of(&mut self, scores: &mut [f32], may_come: impl Fn(u32) -> bool) -> Option<u32> {
        while let Some(token) = self.choose(scores) {
            if may_come(token) {
                return Some(token);
            }
            *scores.get_mut(token as usize)? = f32::NEG_INFINITY;
        }
        None
    }

    /// The token to go on with; none if there are no scores that are numbers.
    pub(super) fn choose(&mut self, scores: &[f32]) -> Option<u32> {
        let best = (0..scores.len()).filter(|token| scores[*token].is_finite());
        let best = best.max_by(|a, b| scores[*a].total_cmp(&scores[*b]))?;
        if self.temperature < 1e-4 {
            return Some(best as u32);
        }
        let weight = |token: usize| ((scores[token] - scores[best]) / self.temperature).exp();
        let mut likely: Vec<(u32, f32)> =
            (0..scores.len()).map(|token| (token as u32, weight(token))).filter(|(_, weight)| *weight > 1e-6).collect();
        likely.sort_unstable_by(|a, b| b.1.total_cmp(&a.1));
        let sum: f32 = likely.iter().map(|(_, weight)| weight).sum();
        let mut kept = 0.0;
        let count = likely
            .iter()
            .take_while(|(_, weight)| {
                let more = kept < self.top_p * sum;
                kept += weight;
                more
            })
            .count();
        likely.truncate(count.max(1));
        let sum: f32 = likely.iter().map(|(_, weight)| weight).sum();
        // 24 bits, the precision of an `f32`, spread evenly over 0 to 1.
        let mut at = (self.random.next_u32() >> 8) as f32 / (1u32 << 24) as f32 * sum;
        let chosen = likely.iter().find(|(_, weight)| {
            at -= weight;
            at < 0.0
        });
        Some(chosen.unwrap_or(&likely[0]).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_temperature_0_the_best_token_is_taken() {
        assert_eq!(Sampler::new(0.0, 1.0, 7).choose(&[0.1, 3.0, 2.9]), Some(1));
        assert_eq!(Sampler::new(0.0, 1.0, 7).choose(&[]), None);
        assert_eq!(Sampler::new(1.0, 1.0, 7).choose(&[f32::NAN, f32::NEG_INFINITY]), None);
    }

    #[test]
    fn what_may_not_come_is_never_chosen() {
        for temperature in [0.0, 1.0] {
            let mut sampler = Sampler::new(temperature, 0.9, 7);
            let mut scores = [9.0, 3.0, 8.0, 2.9];
            let chosen = sampler.choose_of(&mut scores, |token| token % 2 == 1);
            assert!(matches!(chosen, Some(1 | 3)), "{chosen:?}");
            assert_eq!(sampler.choose_of(&mut [1.0, 2.0], |_| false), None);
        }
    }

    #[test]
    fn equal_seeds_choose_equally() {
        let scores: Vec<f32> = (0..100).map(|i| (i % 7) as f32).collect();
        let run = |seed| {
            let mut sampler = Sampler::new(1.0, 0.9, seed);
            (0..50).filter_map(|_| sampler.choose(&scores)).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn a_small_top_p_leaves_only_the_best() {
        let mut sampler = Sampler::new(2.0, 0.01, 3);
        assert!((0..50).all(|_| sampler.choose(&[1.0, 1.5, 9.0]) == Some(2)));
    }
}
