//! The same nodes in other places: texts inside of a file are read by themselves.

use super::{Content, Field, Node, Position};
use std::rc::Rc;

impl Node {
    /// The nodes of a text that begins there, each of its lines as far from the left as the first.
    pub fn moved_into(&self, beginning: Position) -> Node {
        self.moved(&|at| Position {
            line: at.line + beginning.line - 1,
            column: at.column + beginning.column - 1,
        })
    }

    /// Everything in one place.
    pub fn moved_to(&self, place: Position) -> Node {
        self.moved(&|_| place)
    }

    fn moved(&self, to: &dyn Fn(Position) -> Position) -> Node {
        let content = match &self.content {
            Content::List(items) => {
                Content::List(items.iter().map(|item| Rc::new(item.moved(to))).collect())
            }
            Content::Map(fields) => Content::Map(
                fields
                    .iter()
                    .map(|field| Field {
                        name: field.name.clone(),
                        at: to(field.at),
                        value: Rc::new(field.value.moved(to)),
                    })
                    .collect(),
            ),
            other => other.clone(),
        };
        Node {
            at: to(self.at),
            content,
        }
    }
}
