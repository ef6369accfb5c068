//! Where boxes and arrows stand: layers from left to right, so that every arrow goes to the right. An
//! arrow over several layers has a place in each that it passes, so it runs through no box.

/// Where everything stands, in layers and places from the top of each.
pub(super) struct Layout {
    /// The layer of each box, and its place there, from the top; halves where a layer is short.
    pub(super) boxes: Vec<(usize, f64)>,
    /// The places that each arrow passes, ends apart.
    pub(super) arrows: Vec<Vec<(usize, f64)>>,
    /// How many layers there are.
    pub(super) layers: usize,
    /// Places in the longest layer.
    pub(super) places: usize,
}

/// What stands in a layer: a box, or a place where an arrow passes.
#[derive(Clone, Copy)]
enum Item {
    Stage(usize),
    Pass(usize),
}

/// How often the order within layers is improved.
const ROUNDS: usize = 4;

impl Layout {
    /// Of so many boxes, each after those that lead to it, and of these arrows.
    pub(super) fn of(count: usize, arrows: &[(usize, usize)]) -> Self {
        let mut layer = vec![0; count];
        for to in 0..count {
            let before = arrows.iter().filter(|arrow| arrow.1 == to);
            layer[to] = before.map(|arrow| layer[arrow.0] + 1).max().unwrap_or(0);
        }
        let layers = layer.iter().max().map_or(0, |last| last + 1);
        let mut rows: Vec<Vec<Item>> = vec![Vec::new(); layers];
        for (id, layer) in layer.iter().enumerate() {
            rows[*layer].push(Item::Stage(id));
        }
        for (id, (from, to)) in arrows.iter().enumerate() {
            for row in &mut rows[layer[*from] + 1..layer[*to]] {
                row.push(Item::Pass(id));
            }
        }
        for _ in 0..ROUNDS {
            sort(&mut rows, arrows, false);
            sort(&mut rows, arrows, true);
        }
        Self::placed(count, arrows.len(), &rows)
    }

    fn placed(count: usize, arrows: usize, rows: &[Vec<Item>]) -> Self {
        let places = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut layout = Self {
            boxes: vec![(0, 0.0); count],
            arrows: vec![Vec::new(); arrows],
            layers: rows.len(),
            places,
        };
        for (layer, row) in rows.iter().enumerate() {
            let above = (places - row.len()) as f64 / 2.0;
            for (place, item) in row.iter().enumerate() {
                let at = (layer, above + place as f64);
                match *item {
                    Item::Stage(id) => layout.boxes[id] = at,
                    Item::Pass(id) => layout.arrows[id].push(at),
                }
            }
        }
        layout
    }
}

/// Puts each item near the middle of those that it is joined with in the layer before, or behind.
fn sort(rows: &mut [Vec<Item>], arrows: &[(usize, usize)], back: bool) {
    let order: Vec<usize> = match back {
        false => (1..rows.len()).collect(),
        true => (0..rows.len().saturating_sub(1)).rev().collect(),
    };
    for at in order {
        let beside = &rows[if back { at + 1 } else { at - 1 }];
        let place = |wanted: &dyn Fn(Item) -> bool| -> Option<f64> {
            let found = beside.iter().enumerate().filter(|(_, item)| wanted(**item));
            let places: Vec<f64> = found.map(|(place, _)| place as f64).collect();
            (!places.is_empty()).then(|| places.iter().sum::<f64>() / places.len() as f64)
        };
        let ends = |arrow: usize| {
            let (from, to) = arrows[arrow];
            if back { (to, from) } else { (from, to) }
        };
        let joined = |item: Item, other: Item| match (item, other) {
            (Item::Pass(one), Item::Pass(two)) => one == two,
            (Item::Pass(arrow), Item::Stage(id)) => ends(arrow).0 == id,
            (Item::Stage(id), Item::Pass(arrow)) => ends(arrow).1 == id,
            (Item::Stage(id), Item::Stage(other)) => {
                (0..arrows.len()).any(|arrow| ends(arrow) == (other, id))
            }
        };
        let mut keyed: Vec<(f64, Item)> = rows[at]
            .iter()
            .enumerate()
            .map(|(own, &item)| (place(&|other| joined(item, other)).unwrap_or(own as f64), item))
            .collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        rows[at] = keyed.into_iter().map(|(_, item)| item).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_go_to_the_right_and_pass_no_box() {
        // 0 -> 1 -> 2 -> 3, and 0 -> 3 past the two in between.
        let layout = Layout::of(4, &[(0, 1), (1, 2), (2, 3), (0, 3)]);
        assert_eq!((layout.layers, layout.places), (4, 2));
        let at: Vec<usize> = layout.boxes.iter().map(|(layer, _)| *layer).collect();
        assert_eq!(at, [0, 1, 2, 3]);
        let passed: Vec<usize> = layout.arrows[3].iter().map(|(layer, _)| *layer).collect();
        assert_eq!(passed, [1, 2]);
        for (layer, place) in &layout.arrows[3] {
            assert!(layout.boxes.iter().all(|own| own != &(*layer, *place)));
        }
    }

    #[test]
    fn branches_do_not_cross_without_need() {
        // Two sources, each with its own line of two, given in an order that crosses.
        let layout = Layout::of(4, &[(0, 3), (1, 2)]);
        let down = |a: usize, b: usize| layout.boxes[a].1 < layout.boxes[b].1;
        assert_eq!(down(0, 1), down(3, 2));
    }
}
