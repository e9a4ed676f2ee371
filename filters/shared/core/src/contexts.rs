//! What belongs to ids that the host gives out one after the other.
//!
//! Requests come and go in about that order, so the last bits of an id nearly always name a place of their own, and finding one
//! takes no search. Only what outlives many later ones shares its place with another, and that one is kept apart.

/// Places to begin with.
const FIRST: usize = 64;
/// Places at most; beyond that, more is kept apart.
const MOST: usize = 1 << 16;

/// Values by id.
#[derive(Debug)]
pub struct ById<T> {
    /// A power of two of them, or none.
    places: Vec<Option<(u32, T)>>,
    /// What found its place taken, by id: few, and a new one is nearly always the last.
    others: Vec<(u32, T)>,
    live: usize,
}

impl<T> ById<T> {
    /// Nothing yet.
    #[allow(
        clippy::new_without_default,
        reason = "made once, at compile time, where `Default` cannot be"
    )]
    pub const fn new() -> Self {
        ById {
            places: Vec::new(),
            others: Vec::new(),
            live: 0,
        }
    }

    fn place(&self, id: u32) -> usize {
        id as usize & self.places.len().wrapping_sub(1)
    }

    /// What belongs to an id.
    pub fn get(&self, id: u32) -> Option<&T> {
        match self.places.get(self.place(id)) {
            Some(Some((held, value))) if *held == id => Some(value),
            _ => self.find_other(id),
        }
    }

    fn search(&self, id: u32) -> Result<usize, usize> {
        self.others.binary_search_by_key(&id, |(held, _)| *held)
    }

    #[cold]
    fn find_other(&self, id: u32) -> Option<&T> {
        let at = self.search(id).ok()?;
        self.others.get(at).map(|(_, value)| value)
    }

    /// Keeps a value under an id, in the place of what was there.
    pub fn insert(&mut self, id: u32, value: T) {
        if self.live >= self.places.len() / 2 && self.places.len() < MOST {
            self.grow();
        }
        let at = self.place(id);
        match self.places.get_mut(at) {
            Some(place) if place.as_ref().is_none_or(|(held, _)| *held == id) => {
                if place.replace((id, value)).is_none() && self.remove_other(id).is_none() {
                    self.live = self.live.saturating_add(1);
                }
            }
            _ => self.insert_other(id, value),
        }
    }

    #[cold]
    fn insert_other(&mut self, id: u32, value: T) {
        if self.keep_apart(id, value) {
            self.live = self.live.saturating_add(1);
        }
    }

    /// True when nothing was kept under this id.
    fn keep_apart(&mut self, id: u32, value: T) -> bool {
        match self.search(id) {
            Ok(at) => {
                if let Some(other) = self.others.get_mut(at) {
                    other.1 = value;
                }
                false
            }
            Err(at) => {
                self.others.insert(at, (id, value));
                true
            }
        }
    }

    #[cold]
    fn grow(&mut self) {
        let wanted = self.places.len().saturating_mul(2).max(FIRST);
        let held = std::mem::take(&mut self.places).into_iter().flatten();
        let others = std::mem::take(&mut self.others);
        self.places.resize_with(wanted, || None);
        for (id, value) in held.chain(others) {
            let at = self.place(id);
            match self.places.get_mut(at) {
                Some(place) if place.is_none() => *place = Some((id, value)),
                _ => {
                    self.keep_apart(id, value);
                }
            }
        }
    }

    /// Takes away what belongs to an id.
    pub fn remove(&mut self, id: u32) -> Option<T> {
        let at = self.place(id);
        let removed = match self.places.get_mut(at) {
            Some(place) if place.as_ref().is_some_and(|(held, _)| *held == id) => place.take(),
            _ => self.remove_other(id),
        };
        let (_, value) = removed?;
        self.live = self.live.saturating_sub(1);
        Some(value)
    }

    #[cold]
    fn remove_other(&mut self, id: u32) -> Option<(u32, T)> {
        let at = self.search(id).ok()?;
        Some(self.others.remove(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::Index;
    use std::collections::BTreeMap;

    #[derive(Debug, Clone)]
    enum Act {
        /// The next id, after so many others.
        Next(u32),
        Again(Index),
        Remove(Index),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            6 => (1u32..200).prop_map(Act::Next),
            1 => any::<Index>().prop_map(Act::Again),
            4 => any::<Index>().prop_map(Act::Remove),
        ]
    }

    proptest! {
        #[test]
        fn holds_what_a_map_holds(start in any::<u32>(), acts in proptest::collection::vec(act(), 0..400)) {
            let (mut ids, mut model) = (ById::new(), BTreeMap::new());
            let mut known = vec![start];
            for (number, act) in acts.into_iter().enumerate() {
                let pick = |at: Index| *at.get(&known);
                match act {
                    Act::Next(after) => {
                        let id = known.last().unwrap().wrapping_add(after);
                        known.push(id);
                        ids.insert(id, number);
                        model.insert(id, number);
                    }
                    Act::Again(at) => {
                        ids.insert(pick(at), number);
                        model.insert(pick(at), number);
                    }
                    Act::Remove(at) => prop_assert_eq!(ids.remove(pick(at)), model.remove(&pick(at))),
                }
                prop_assert_eq!(ids.live, model.len());
            }
            for id in known {
                prop_assert_eq!(ids.get(id), model.get(&id));
            }
        }
    }

    #[test]
    fn one_that_stays_takes_no_place_but_its_own() {
        let mut ids = ById::new();
        ids.insert(7, "stays");
        for id in 8..100_000 {
            ids.insert(id, "goes");
            assert_eq!(ids.get(id), Some(&"goes"));
            assert_eq!(ids.remove(id), Some("goes"));
        }
        assert_eq!(ids.get(7), Some(&"stays"));
        assert_eq!(ids.places.len(), FIRST);
        assert!(ids.others.is_empty());
    }

    #[test]
    fn many_at_once_have_places_up_to_a_bound() {
        let mut ids = ById::new();
        let many = 3 * MOST as u32;
        for id in 0..many {
            ids.insert(id, id);
        }
        assert_eq!(ids.places.len(), MOST);
        assert!((0..many).all(|id| ids.get(id) == Some(&id)));
        assert!((0..many).all(|id| ids.remove(id) == Some(id)));
        assert_eq!(ids.live, 0);
        assert_eq!(ids.remove(5), None);
    }
}
