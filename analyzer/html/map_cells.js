// SPDX-License-Identifier: MIT
// map_cells.js: paints the map's cells. Each has the colour of what touched most of it, stronger where
// more was touched; or, by density, a colour for how much that was.

function mapCells(canvas) {
	const { data, runs } = model;
	const CELL = 2, CATEGORIES = 8;
	const OTHERS = CATEGORIES - 1;

	// The items with most faults get colours of their own; the last one is for all others.
	function rank(count, key) {
		const totals = model.sums(runs, count, key, true).faults;
		const ranks = new Uint8Array(count).fill(OTHERS);
		d3.range(count).filter(item => totals[item] > 0).sort((a, b) => totals[b] - totals[a]).slice(0, OTHERS)
			.forEach((item, place) => { ranks[item] = place; });
		const others = totals.filter((value, item) => value > 0 && ranks[item] === OTHERS).length;
		return { of: i => ranks[key(i)], ranks, others };
	}
	const colours = {
		source: Object.assign(rank(data.sources.length, i => runs.source[i]),
			{ name: item => data.sources[item], paint: item => sourceColour(data.sources[item]) }),
		thread: Object.assign(rank(data.threads.tid.length, i => runs.thread[i]),
			{ name: item => model.threadName(item), paint: (_, place) => `var(--c${place})` }),
		density: { of: () => 0, ranks: [] },
	};

	// A colour of the style sheet as [red, green, blue].
	function rgb(colour) {
		const name = colour.match(/--[\w-]+/);
		const value = name ? getComputedStyle(document.documentElement).getPropertyValue(name[0]) : colour;
		const { r, g, b } = d3.rgb(value.trim());
		return [r, g, b];
	}

	// The cells from..to that a range of a scale covers, at least one.
	function cellsOf(scale, start, end) {
		const origin = scale.range()[0];
		const from = Math.floor((scale(start) - origin) / CELL);
		return [from, Math.max(from + 1, Math.ceil((scale(end) - origin) / CELL - 1e-3))];
	}

	// For each cell how many faults lie in it, by category.
	function fill(columns, rows, x, y, address, of) {
		const sums = new Float32Array(columns * rows * CATEGORIES);
		model.each(runs, i => {
			const [x0, x1] = cellsOf(x, runs.time[i], runs.time[i] + runs.step);
			if (x1 <= 0 || x0 >= columns)
				return;
			const [y0, y1] = cellsOf(y, ...address.rowsOf(i));
			if (y1 <= 0 || y0 >= rows)
				return;
			const category = of(i), weight = runs.faults[i] / ((x1 - x0) * (y1 - y0));
			for (let cy = Math.max(0, y0); cy < Math.min(rows, y1); cy++)
				for (let cx = Math.max(0, x0); cx < Math.min(columns, x1); cx++)
					sums[(cy * columns + cx) * CATEGORIES + category] += weight;
		});
		return sums;
	}

	// In each cell: how many faults, and the category of most of them.
	function addUp(sums) {
		const totals = new Float32Array(sums.length / CATEGORIES), kinds = new Uint8Array(totals.length);
		for (let cell = 0; cell < totals.length; cell++)
			for (let category = 0; category < CATEGORIES; category++) {
				const value = sums[cell * CATEGORIES + category];
				totals[cell] += value;
				if (value > sums[cell * CATEGORIES + kinds[cell]])
					kinds[cell] = category;
			}
		return { totals, kinds };
	}

	function paletteOf({ ranks, paint: paintOf }) {
		const palette = Array.from({ length: CATEGORIES }, () => rgb("var(--c7)"));
		ranks.forEach((place, item) => {
			if (place < OTHERS)
				palette[place] = rgb(paintOf(item, place));
		});
		return palette;
	}

	// Paints what lies in the domains of the scales.
	function paint(by, x, y, address) {
		const columns = Math.max(1, Math.floor((x.range()[1] - x.range()[0]) / CELL));
		const rows = Math.max(1, Math.floor((y.range()[1] - y.range()[0]) / CELL));
		const { totals, kinds } = addUp(fill(columns, rows, x, y, address, colours[by].of));
		const most = d3.max(totals);
		const strength = d3.scaleLog().domain([Math.max(most / 1000, 1e-6), Math.max(most, 2e-6)]).clamp(true);
		const palette = by === "density" ? d3.range(256).map(i => rgb(d3.interpolateCividis(i / 255)))
			: paletteOf(colours[by]);
		canvas.attr("width", columns).attr("height", rows)
			.style("left", x.range()[0] + "px").style("top", y.range()[0] + "px")
			.style("width", columns * CELL + "px").style("height", rows * CELL + "px");
		const context = canvas.node().getContext("2d");
		const image = context.createImageData(columns, rows);
		for (let cell = 0; cell < totals.length; cell++) {
			if (totals[cell] === 0)
				continue;
			const part = strength(totals[cell]);
			const [r, g, b] = palette[by === "density" ? Math.round(part * 255) : kinds[cell]];
			image.data[cell * 4] = r;
			image.data[cell * 4 + 1] = g;
			image.data[cell * 4 + 2] = b;
			image.data[cell * 4 + 3] = by === "density" ? 255 : 130 + 125 * part;
		}
		context.putImageData(image, 0, 0);
		return most;
	}

	// What the colours mean; `most` is what paint returned.
	function legend(by, most) {
		if (by === "density")
			return [[d3.interpolateCividis(0), "few"], [d3.interpolateCividis(0.5), "…"],
				[d3.interpolateCividis(1), `most: ${d3.format(",.3~r")(most)} faults in ${CELL}×${CELL} pixels`]];
		const { ranks, others, name, paint: paintOf } = colours[by];
		const entries = d3.range(ranks.length).filter(item => ranks[item] < OTHERS)
			.sort((a, b) => ranks[a] - ranks[b]).map(item => [paintOf(item, ranks[item]), name(item)]);
		return others > 0 ? entries.concat([["var(--c7)", `${others} others`]]) : entries;
	}

	return { paint, legend };
}
