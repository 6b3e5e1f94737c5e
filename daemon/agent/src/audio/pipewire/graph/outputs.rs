//! Outputs in the graph: which there are, and that ours lead to them.
//!
//! Owns the links from our sinks. Which stream goes into which of ours, [`super`] knows.

use std::collections::BTreeSet;

use callarbiter_dbus::{Endpoint, words::EndpointKind};

use super::{Command, Graph, Node, Own, Plan, Port, is_ours};
use crate::audio::endpoints::{Outputs, kind};

impl Graph {
    /// The outputs that there are.
    pub fn outputs(&self) -> Outputs {
        let real = |node: &&Node| is_sink(node) && !is_ours(&node.name);
        let endpoint = |node: &Node| Endpoint {
            id: node.name.clone(),
            name: node.description.clone(),
            kind: self.kind(node),
        };
        let default = self.default_sink.clone().unwrap_or_default();
        Outputs::new(self.nodes.values().filter(real).map(endpoint), default)
    }

    fn kind(&self, node: &Node) -> EndpointKind {
        let device = node.device.and_then(|device| self.devices.get(&device));
        let hints = || node.hints.iter().chain(device.into_iter().flatten());
        kind(|key| hints().find(|(name, _)| *name == key).map(|(_, value)| value.as_str()))
    }

    /// Links what our sinks play to where that is to be heard.
    pub(super) fn join(&mut self, route: Option<&str>, plan: &mut Plan) {
        let default = self.default_sink.as_deref();
        let mut joins = self.joins(Own::Others, default);
        joins.extend(self.joins(Own::Calls, route));
        let part = |(from, to): &(u32, u32)| Command::Part { from: *from, to: *to };
        let join = |(from, to): &(u32, u32)| Command::Join { from: *from, to: *to };
        plan.commands.extend(joins.difference(&self.joined).map(join));
        plan.commands.extend(self.joined.difference(&joins).map(part));
        self.joined = joins;
    }

    /// Channel by channel.
    fn joins(&self, own: Own, to: Option<&str>) -> BTreeSet<(u32, u32)> {
        let mut joins = BTreeSet::new();
        let Some(Some(own)) = self.own.get(&own).copied() else { return joins };
        let mut sinks = self
            .nodes
            .iter()
            .filter(|(id, node)| is_sink(node) && !is_ours(&node.name) && **id != own);
        let sink = sinks.find(|(_, node)| Some(node.name.as_str()) == to).map(|(id, _)| *id);
        let ports = |of: u32, input: bool| {
            self.ports.iter().filter(move |(_, port)| port.node == of && port.input == input)
        };
        let inputs: Vec<(&u32, &Port)> = sink.into_iter().flat_map(|id| ports(id, true)).collect();
        for (nth, (from, port)) in ports(own, false).enumerate() {
            let same = inputs.iter().find(|(_, input)| input.channel == port.channel);
            // A sink without these channels gets what there is in its own order.
            let to = same.or_else(|| inputs.get(nth)).or_else(|| inputs.first());
            joins.extend(to.map(|(to, _)| (*from, **to)));
        }
        joins
    }

    /// What is played into it is heard, if it is to be heard.
    pub(super) fn leads_on(&self, own: Own) -> bool {
        let joined = |id: u32| {
            let of = |port: &u32| self.ports.get(port).is_some_and(|port| port.node == id);
            self.joined.iter().any(|(from, _)| of(from))
        };
        match own {
            Own::Others | Own::Calls => self.own.get(&own).copied().flatten().is_some_and(joined),
            Own::Silence | Own::Nothing => true,
        }
    }
}

pub(super) fn is_sink(node: &Node) -> bool {
    matches!(node.class.as_str(), "Audio/Sink" | "Audio/Duplex")
}
