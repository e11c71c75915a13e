//! Which bytes of the whole are in which piece.

/// The pieces of a length, in order and without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Where each piece ends; the last one at the length.
    ends: Vec<u64>,
}

/// Some bytes that are in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) piece: usize,
    /// Offset in the piece.
    pub(crate) offset: u64,
    /// Bytes from there to the end of the piece.
    pub(crate) left: u64,
}

impl Cut {
    /// One piece.
    pub(crate) fn whole(length: u64) -> Self {
        Self { ends: vec![length] }
    }

    /// Pieces of a size; the last one is what remains. None if they are more than `max`.
    pub(crate) fn every(size: u64, length: u64, max: usize) -> Option<Self> {
        let count = length.div_ceil(size).max(1);
        if usize::try_from(count).is_ok_and(|count| count <= max) {
            Some(Self { ends: (1..=count).map(|n| n.saturating_mul(size).min(length)).collect() })
        } else {
            None
        }
    }

    /// Pieces of these sizes; none if together they are more than can be counted.
    pub(crate) fn of_sizes(sizes: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut end = 0_u64;
        let ends: Option<Vec<u64>> = sizes
            .into_iter()
            .map(|size| {
                end = end.checked_add(size)?;
                Some(end)
            })
            .collect();
        ends.map(|ends| Self { ends })
    }

    /// Bytes of all pieces.
    pub(crate) fn length(&self) -> u64 {
        self.ends.last().copied().unwrap_or_default()
    }

    /// Sizes of the pieces.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = u64> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| end - start)
    }

    /// Where a byte is; none behind the end.
    pub(crate) fn at(&self, offset: u64) -> Option<Run> {
        let piece = self.ends.partition_point(|&end| end <= offset);
        let end = *self.ends.get(piece)?;
        let start = piece.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(Run { piece, offset: offset - start, left: end - offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_in_one_piece() {
        for (length, size) in [(10, 1), (10, 3), (10, 5), (10, 9), (10, 10), (10, 11), (1, 1)] {
            let cut = Cut::every(size, length, 99).unwrap();
            let sizes: Vec<u64> = cut.sizes().collect();
            assert_eq!(cut, Cut::of_sizes(sizes.iter().copied()).unwrap());
            assert_eq!((sizes.iter().sum::<u64>(), cut.length()), (length, length));
            let mut expected = sizes.iter().enumerate().flat_map(|(piece, &size)| (0..size).map(move |offset| Run { piece, offset, left: size - offset }));
            for offset in 0..length {
                assert_eq!(cut.at(offset), expected.next(), "{length} by {size} at {offset}");
            }
            assert_eq!(cut.at(length), None);
        }
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        assert!(Cut::every(1, 10, 9).is_none() && Cut::every(1, u64::MAX, 9).is_none());
        assert_eq!(Cut::every(u64::MAX, 10, 9), Some(Cut::whole(10)));
        assert!(Cut::of_sizes([u64::MAX, 1]).is_none());
    }

    #[test]
    fn an_empty_piece_holds_nothing() {
        let cut = Cut::of_sizes([2, 0, 3]).unwrap();
        assert_eq!(cut.at(2), Some(Run { piece: 2, offset: 0, left: 3 }));
    }
}
