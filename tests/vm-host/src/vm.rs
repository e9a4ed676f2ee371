//! A module in its VM, driven callback by callback.

use crate::imports;
use crate::state::State;
use wasmi::{Engine, Instance, Linker, Module, Store, Val};

/// A module that trapped, and where.
#[derive(Debug)]
pub struct Trap {
    /// The callback it happened in.
    pub callback: String,
    /// The interpreter's words.
    pub reason: String,
}

/// A module in its VM.
pub struct Vm {
    store: Store<State>,
    instance: Instance,
}

impl Vm {
    /// Instantiates a module over a host in this state and runs its initialiser.
    pub fn start(engine: &Engine, module: &Module, state: State) -> Result<Self, Trap> {
        let mut store = Store::new(engine, state);
        let mut linker = Linker::new(engine);
        imports::define(&mut linker);
        let instance = linker
            .instantiate_and_start(&mut store, module)
            .map_err(|error| Trap {
                callback: "instantiation".to_owned(),
                reason: error.to_string(),
            })?;
        let mut vm = Vm { store, instance };
        vm.call("_initialize", &[])?;
        Ok(vm)
    }

    /// Calls an export, if the module has it; its integer result, or zero.
    pub fn call(&mut self, name: &str, arguments: &[u32]) -> Result<u32, Trap> {
        let Some(function) = self.instance.get_func(&self.store, name) else {
            return Ok(0);
        };
        let results = function.ty(&self.store).results().len();
        let arguments: Vec<Val> = arguments
            .iter()
            .map(|value| Val::I32(*value as i32))
            .collect();
        let mut returned = vec![Val::I32(0); results];
        function
            .call(&mut self.store, &arguments, &mut returned)
            .map_err(|error| Trap {
                callback: name.to_owned(),
                reason: error.to_string(),
            })?;
        Ok(match returned.first() {
            Some(Val::I32(value)) => *value as u32,
            _ => 0,
        })
    }

    /// Whether the module has this export.
    pub fn has(&self, name: &str) -> bool {
        self.instance.get_func(&self.store, name).is_some()
    }

    /// The host's side.
    pub fn state(&self) -> &State {
        self.store.data()
    }

    /// The host's side, to change it between callbacks.
    pub fn state_mut(&mut self) -> &mut State {
        self.store.data_mut()
    }
}
