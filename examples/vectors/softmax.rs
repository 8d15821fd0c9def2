// Softmax written in Rust, checked against its vectors:  rustc -O softmax.rs && ./softmax vectors/
use std::{env, fs, process, str::FromStr};

struct Tensor { v: Vec<f64>, shape: Vec<usize>, bound: f64 }
struct Test<'a> { text: &'a str, id: &'a str, header: &'a str, numbers: &'a [u8] }

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    text.split_once(from).map(|(_, rest)| rest.split_once(to).map_or(rest, |(inside, _)| inside))
}
fn list<T: FromStr>(text: &str) -> Vec<T> { text.split(',').filter_map(|n| n.trim().parse().ok()).collect() }
impl Test<'_> {
    /// A tensor in a section: it has a line of its own. Numbers that are not in it stand in the safetensors file.
    fn get(&self, section: &str, name: &str) -> Option<Tensor> {
        let part = between(self.text, &format!("\"{section}\": {{"), "\n   }")?;
        let line = between(part, &format!("\"{name}\": {{"), "\n")?;
        let stored = || {
            let at = between(self.header, &format!("\"{}/{section}/{name}\":", self.id), "}").expect("a tensor");
            let ends: Vec<usize> = list(between(at, "data_offsets\":[", "]").expect("two offsets"));
            self.numbers[ends[0]..ends[1]].chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
        };
        let bound = between(line, "\"bound\": ", ",").map_or(0.0, |b| b.parse().unwrap_or(f64::INFINITY));
        let v = between(line, "\"data\": [", "]").map_or_else(stored, list);
        Some(Tensor { v, shape: list(between(line, "\"shape\": [", "]")?), bound })
    }
}
/// y = exp(x − max x)/Σ exp(x − max x) along an axis;  dx = y (dy − Σ y dy)
fn softmax(x: &Tensor, dy: &Tensor, dim: i64) -> (Vec<f64>, Vec<f64>) {
    let axis = dim.rem_euclid(x.shape.len().max(1) as i64) as usize;
    let (n, step) = (*x.shape.get(axis).unwrap_or(&1), x.shape.iter().skip(axis + 1).product::<usize>());
    let (mut y, mut dx) = (x.v.clone(), dy.v.clone());
    for first in (0..x.v.len()).filter(|i| i / step % n == 0) {
        let at = || (0..n).map(|k| first + k * step);
        let top = at().map(|i| x.v[i]).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = at().map(|i| (x.v[i] - top).exp()).sum();
        at().for_each(|i| y[i] = (x.v[i] - top).exp() / sum);
        let mean: f64 = at().map(|i| y[i] * dy.v[i]).sum();
        at().for_each(|i| dx[i] = y[i] * (dy.v[i] - mean));
    }
    (y, dx)
}
fn main() {
    let path = env::args().nth(1).unwrap_or("vectors".into()) + "/Softmax";
    let text = fs::read_to_string(path.clone() + ".json").expect("Softmax.json");
    let bytes = fs::read(path + ".safetensors").expect("Softmax.safetensors");
    let (header, numbers) = bytes[8..].split_at(u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize);
    let (header, mut wrong) = (String::from_utf8_lossy(header), 0);
    for text in text.split("\"id\": \"").skip(1) {
        let test = Test { text, id: text.split('"').next().unwrap(), header: &header, numbers };
        let (x, dy) = (test.get("inputs", "x").unwrap(), test.get("dy", "y").unwrap());
        let (y, dx) = softmax(&x, &dy, between(text, "{\"dim\": ", "}").unwrap().parse().unwrap());
        let off = [("outputs", "y", y), ("gradients", "x", dx)].iter().find_map(|(section, name, have)| {
            let want = test.get(section, name).unwrap();
            let i = (0..have.len()).find(|&i| !((have[i] - want.v[i]).abs() <= want.bound))?;
            Some(format!("{section} {name}[{i}] is {}, not {}", have[i], want.v[i]))
        });
        println!("{} {}", test.id, off.as_ref().map_or("right".into(), |o| format!("wrong: {o}")));
        wrong += i32::from(off.is_some());
    }
    process::exit((wrong > 0).into());
}
