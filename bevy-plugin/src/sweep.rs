//! Styles that change over time.

use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;
use bevy_ecs::system::{Commands, Query, Res};
use bevy_log::warn;
use bevy_time::Time;
use semsynth::Style;

use crate::cost::FrameCost;
use crate::terrain::{SynthSettings, SynthState, SynthStatus};

/// Blends the style of a terrain from one to another over time, as fast as it can be painted: a picture is begun when the
/// one before is done, so that each shows the style of its time. It is removed at the end.
#[derive(Component, Clone, Debug)]
pub struct StyleSweep {
    from: Style,
    to: Style,
    seconds: f32,
    elapsed: f32,
}

impl StyleSweep {
    /// A sweep that takes this long.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`](semsynth::Error::Argument) if the styles do not fit together or the time is not a number of 0 or
    /// more.
    pub fn new(from: Style, to: Style, seconds: f32) -> semsynth::Result<Self> {
        from.blend(&to, 0.0)?;
        if !(seconds.is_finite() && seconds >= 0.0) {
            return Err(semsynth::Error::Argument(format!("a sweep of {seconds} seconds: it takes 0 or more")));
        }
        Ok(Self { from, to, seconds, elapsed: 0.0 })
    }

    /// How far it is, 0 to 1.
    pub fn fraction(&self) -> f32 {
        if self.elapsed >= self.seconds { 1.0 } else { self.elapsed / self.seconds }
    }
}

pub(crate) fn sweep_styles(
    mut commands: Commands,
    time: Option<Res<Time>>,
    mut terrains: Query<(Entity, &mut StyleSweep, &mut SynthSettings, &SynthStatus)>,
    cost: Res<FrameCost>,
) {
    let _counting = cost.count();
    let Some(time) = time else { return };
    for (entity, mut sweep, mut settings, status) in &mut terrains {
        sweep.elapsed += time.delta_secs();
        if !matches!(status.state, SynthState::Ready | SynthState::Failed { .. } | SynthState::Loading) {
            continue;
        }
        let weight = sweep.fraction();
        match sweep.from.blend(&sweep.to, weight) {
            Ok(style) => settings.style = Some(style.into()),
            // The styles were checked when it was made.
            Err(error) => warn!("terrain {entity}: {error}"),
        }
        if weight >= 1.0 {
            commands.entity(entity).try_remove::<StyleSweep>();
        }
    }
}
