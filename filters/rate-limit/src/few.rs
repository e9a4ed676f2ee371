//! A list that is nearly always of one: that one needs no memory of its own.

use std::ops::Deref;

/// None, one, or more.
#[derive(Debug, Clone, Default)]
pub(crate) enum Few<T> {
    /// Nothing.
    #[default]
    None,
    /// One, in place.
    One(T),
    /// More, in a list.
    More(Vec<T>),
}

impl<T> Few<T> {
    /// Adds one at the end.
    pub(crate) fn push(&mut self, item: T) {
        *self = match std::mem::take(self) {
            Few::None => Few::One(item),
            Few::One(first) => Few::More(vec![first, item]),
            Few::More(mut items) => {
                items.push(item);
                Few::More(items)
            }
        };
    }

    /// All of them, to change them.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        match self {
            Few::None => &mut [],
            Few::One(item) => std::slice::from_mut(item),
            Few::More(items) => items,
        }
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Few::None => &[],
            Few::One(item) => std::slice::from_ref(item),
            Few::More(items) => items,
        }
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut few = Few::None;
        for item in items {
            few.push(item);
        }
        few
    }
}

#[cfg(test)]
mod tests {
    use super::Few;

    #[test]
    fn keeps_what_is_put_in_order() {
        let mut few = Few::None;
        for number in 0..4 {
            assert_eq!(few.len(), number);
            few.push(number);
            assert!(few.iter().copied().eq(0..=number));
        }
        for number in few.as_mut_slice() {
            *number *= 2;
        }
        assert_eq!(few[..], [0, 2, 4, 6]);
        assert_eq!((0..2).collect::<Few<_>>()[..], [0, 1]);
    }
}
