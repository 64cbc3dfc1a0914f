//! Finds the comments that a forge rejects. If one comment is invalid, the forge rejects the whole call
//! without naming the comment.

use truing_core::publish::CommentSubject;

/// Comments that are still to be posted, in batches.
pub(super) struct Bisection {
    /// Batches to post; the next batch is the last element.
    batches: Vec<CommentBatch>,
}

/// Comments for one call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct CommentBatch {
    pub(super) items: Vec<CommentSubject>,
    /// True if the forge is known to reject at least one comment in the batch.
    has_rejected_comment: bool,
    /// True if this batch is the first half of a rejected batch; the last element of `batches` is then the
    /// second half.
    has_sibling: bool,
}

impl Bisection {
    pub(super) fn new(items: Vec<CommentSubject>) -> Self {
        Self { batches: vec![CommentBatch { items, has_rejected_comment: false, has_sibling: false }] }
    }

    /// Returns the next batch to try. If the forge rejected a batch but accepted its first half, the second
    /// half contains the rejected comment. The second half is then halved before it is tried.
    pub(super) fn next_batch(&mut self) -> Option<CommentBatch> {
        loop {
            let batch = self.batches.pop()?;
            match batch.halves().filter(|_| batch.has_rejected_comment) {
                Some(halves) => self.batches.extend(halves),
                None => return Some(batch),
            }
        }
    }

    /// Records the forge's response to a batch. Returns true if the batch was rejected and its halves are
    /// tried next.
    pub(super) fn record_response(&mut self, batch: &CommentBatch, is_rejected: bool) -> bool {
        if batch.has_sibling
            && let Some(other) = self.batches.last_mut()
        {
            other.has_rejected_comment = !is_rejected;
        }
        let halves = batch.halves().filter(|_| is_rejected);
        let splits = halves.is_some();
        self.batches.extend(halves.into_iter().flatten());
        splits
    }
}

impl CommentBatch {
    /// Returns both halves; the last element is tried first. `None` for a single comment.
    fn halves(&self) -> Option<[Self; 2]> {
        let (left, right) = self.items.split_at(self.items.len() / 2);
        let half = |items: &[CommentSubject], has_sibling| Self {
            items: items.to_vec(),
            has_rejected_comment: false,
            has_sibling,
        };
        (!left.is_empty()).then(|| [half(right, false), half(left, true)])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use truing_core::id::FindingId;

    use super::*;

    fn items(count: usize) -> Vec<CommentSubject> {
        (0..count).map(|n| CommentSubject::Finding(FindingId::new(n.to_string()))).collect()
    }

    /// Simulates posting all comments to a forge that rejects some of them. Returns the calls, the accepted
    /// and the rejected comments.
    fn post(
        all: &[CommentSubject],
        bad: &[CommentSubject],
    ) -> (usize, Vec<CommentSubject>, Vec<CommentSubject>) {
        let mut bisection = Bisection::new(all.to_vec());
        let (mut calls, mut taken, mut refused) = (0, Vec::new(), Vec::new());
        while let Some(batch) = bisection.next_batch() {
            calls += 1;
            let rejected = batch.items.iter().any(|item| bad.contains(item));
            if !bisection.record_response(&batch, rejected) {
                if rejected { &mut refused } else { &mut taken }.extend(batch.items);
            }
        }
        (calls, taken, refused)
    }

    #[test]
    fn one_bad_place_among_thirty_costs_ten_calls_at_most() {
        let all = items(30);
        let worst = all.iter().map(|bad| post(&all, std::slice::from_ref(bad)).0).max();
        println!("one bad place among 30: at most {worst:?} creating calls");
        assert!(worst <= Some(10), "{worst:?}: 2·log2(30) + 1 is 10.8");
    }

    proptest! {
        #[test]
        fn everything_is_taken_but_what_is_refused(bad in prop::collection::vec(any::<bool>(), 1..64)) {
            let all = items(bad.len());
            let bad: Vec<CommentSubject> = all.iter().zip(&bad).filter(|(_, bad)| **bad).map(|(item,
                _)| item.clone()).collect();
            let (calls, mut taken, mut refused) = post(&all, &bad);
            taken.extend(refused.clone());
            taken.sort();
            let mut sorted = all.clone();
            sorted.sort();
            prop_assert_eq!(taken, sorted);
            refused.sort();
            let mut expected = bad;
            expected.sort();
            prop_assert_eq!(refused, expected);
            prop_assert!(calls < 2 * all.len());
        }
    }
}
