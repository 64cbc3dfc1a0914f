//! Pseudo-random numbers from a seed (SplitMix64), and random damage based on them.

/// A sequence of pseudo-random numbers.
pub(crate) struct SeededRandom {
    state: u64,
}

impl SeededRandom {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0xD134_2543_DE82_EF95) }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number below `bound`; 0 if `bound` is 0.
    pub(crate) fn next_below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % bound).unwrap_or_default()
    }

    /// Returns one of the elements.
    pub(crate) fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.next_below(items.len()))
    }

    /// Returns a random range of positions in `len` bytes.
    pub(crate) fn range_within(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.next_below(len + 1);
        start..start + self.next_below((len - start).min(200) + 1)
    }
}

/// Damages bytes at random: truncates, changes, drops, repeats or inserts bytes, or replaces the end with the
/// end of another input. `tokens` are the byte sequences that have a meaning in this format.
pub(crate) fn damage(bytes: &mut Vec<u8>, others: &[Vec<u8>], tokens: &[&[u8]], random: &mut SeededRandom) {
    for _ in 0..=random.next_below(4) {
        match random.next_below(7) {
            0 => bytes.truncate(random.next_below(bytes.len() + 1)),
            1 => {
                for _ in 0..=random.next_below(8) {
                    let at = random.next_below(bytes.len());
                    let bit = 1 << random.next_below(8);
                    bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bit);
                }
            }
            2 => drop(bytes.drain(random.range_within(bytes.len()))),
            3 => {
                let part = bytes.get(random.range_within(bytes.len())).unwrap_or_default().to_vec();
                insert(bytes, &part, random);
            }
            4 => {
                let word = random.choose(tokens).copied().unwrap_or_default();
                insert(bytes, word, random);
            }
            5 => {
                let other = random.choose(others).map_or(&[][..], Vec::as_slice);
                let from = random.next_below(other.len() + 1);
                bytes.truncate(random.next_below(bytes.len() + 1));
                bytes.extend_from_slice(other.get(from..).unwrap_or_default());
            }
            _ => {
                // The rest of a line is removed from a random position on.
                let start = random.next_below(bytes.len() + 1);
                let line = bytes.iter().skip(start).position(|byte| *byte == b'\n').unwrap_or_default();
                bytes.drain(start..start + line);
            }
        }
    }
}

fn insert(bytes: &mut Vec<u8>, part: &[u8], random: &mut SeededRandom) {
    let at = random.next_below(bytes.len() + 1);
    bytes.splice(at..at, part.iter().copied());
}
