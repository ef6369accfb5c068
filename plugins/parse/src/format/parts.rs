//! The named parts of which some formats are made, and the fields that take them.

use gristmill_stage::option::ColumnType;
use gristmill_stage::{Error, Result};

use super::{Locator, written};
use crate::cells::{Cells, Misfit};
use crate::field::Field;
use crate::options::{FieldMap, Options};

/// A part of a format.
pub(super) struct Part {
    /// The name of the part, and of its column.
    pub(super) name: String,
    /// The type of the column, when the field does not say.
    pub(super) kind: ColumnType,
    /// How it is written, when it is a time and the field does not say.
    pub(super) layout: Option<String>,
    /// Whether it is a column when `fields` is left out.
    pub(super) shown: bool,
}

impl Part {
    /// A part of text that has a column.
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: ColumnType::String, layout: None, shown: true }
    }

    /// With another type.
    pub(super) fn of(name: impl Into<String>, kind: ColumnType) -> Self {
        Self { kind, ..Self::new(name) }
    }

    /// With a column only if a field asks for it.
    pub(super) fn hidden(self) -> Self {
        Self { shown: false, ..self }
    }

    /// Takes the type of the part for what the field leaves out.
    fn complete(&self, map: &mut FieldMap) {
        let kind = *map.kind.get_or_insert(self.kind);
        // Another layout would belong to another type, or to what `pick` takes out of the text.
        let is_time = matches!(kind, ColumnType::Timestamp | ColumnType::Date);
        if is_time && map.format.is_none() && map.pick.is_none() {
            map.format.clone_from(&self.layout);
        }
    }
}

/// Which fields take each part.
pub(super) struct Takers(Vec<Vec<usize>>);

impl Takers {
    /// The fields, each with the part that it takes.
    pub(super) fn new(
        options: &Options,
        locator: Locator,
        parts: &[Part],
    ) -> Result<(Vec<Field>, Self)> {
        let mut fields = Vec::new();
        let mut takers = vec![Vec::new(); parts.len()];
        if options.fields.0.is_empty() {
            for (part, takers) in parts.iter().zip(&mut takers).filter(|(part, _)| part.shown) {
                let mut map = FieldMap { zone: options.zone.clone(), ..FieldMap::default() };
                part.complete(&mut map);
                takers.push(fields.len());
                fields.push(Field::new(&part.name, &map, false)?);
            }
        }
        for mut field in written(options, locator)? {
            let Some(at) = parts.iter().position(|part| part.name == field.locator) else {
                let known: Vec<_> = parts.iter().map(|part| format!("`{}`", part.name)).collect();
                let format = options.format.name();
                let message = format!("`format: {format}` has no `{}` here", field.locator);
                return Err(
                    Error::option(field.path, message).help(format!("it has {}", known.join(", ")))
                );
            };
            if field.map.all {
                let format = options.format.name();
                let message = format!("`all` has no meaning for `format: {format}`");
                return Err(Error::option(format!("fields.{}.all", field.name), message)
                    .help("each part is there once"));
            }
            parts[at].complete(&mut field.map);
            takers[at].push(fields.len());
            fields.push(Field::new(&field.name, &field.map, false)?);
        }
        Ok((fields, Self(takers)))
    }

    /// The fields that take the part.
    pub(super) fn of(&self, part: usize) -> &[usize] {
        self.0.get(part).map_or(&[], Vec::as_slice)
    }

    /// Whether any field takes the part.
    pub(super) fn any(&self, part: usize) -> bool {
        !self.of(part).is_empty()
    }

    /// Puts the text of a part.
    pub(super) fn put(&self, part: usize, text: &str, cells: &mut Cells) -> Result<(), Misfit> {
        self.of(part).iter().try_for_each(|index| cells.put(*index, text))
    }
}
