// SPDX-License-Identifier: MIT
// growth.js: touched memory over time, stacked by source, and the brush that selects a time.

function growth() {
	const { data, byPlace, selection } = model;
	const element = document.querySelector("#growth .chart");
	const margin = { top: 8, right: 12, bottom: 24, left: 84 }, height = 190;
	const svg = d3.select(element).append("svg").attr("height", height).attr("role", "img");
	const areas = svg.append("g"), xAxis = svg.append("g").attr("class", "axis"),
		yAxis = svg.append("g").attr("class", "axis"), residentLine = svg.append("path").attr("class", "resident"),
		pointer = svg.append("line").attr("class", "pointer"),
		brushLayer = svg.append("g").attr("class", "brush");
	const x = d3.scaleLinear().domain([0, data.time.steps]), y = d3.scaleLinear();
	const order = d3.range(data.sources.length).sort((a, b) =>
		SOURCE_ORDER.indexOf(data.sources[a]) - SOURCE_ORDER.indexOf(data.sources[b]));
	const brush = d3.brushX().on("brush end", brushed).on("start", tip.hide);
	let layers = [], frame = 0, selecting = false;

	const unit = () => selection.measure === "bytes" ? MIB : 1;

	// Sums up to each step, for each source.
	function add() {
		const steps = data.time.steps;
		const sums = data.sources.map(() => new Float64Array(steps + 1));
		model.each(byPlace, i => {
			sums[byPlace.source[i]][byPlace.time[i] + byPlace.step] += byPlace[selection.measure][i];
		}, true);
		for (const column of sums)
			for (let step = 1; step <= steps; step++)
				column[step] += column[step - 1];
		let base = new Float64Array(steps + 1);
		layers = order.map(source => {
			const top = base.map((value, step) => value + sums[source][step]);
			const layer = { source, base, top };
			base = top;
			return layer;
		});
		y.domain([0, (d3.max(base) || 1) / unit()]).nice(4);
	}

	function draw(width) {
		svg.attr("width", width).attr("viewBox", `0 0 ${width} ${height}`);
		x.range([margin.left, width - margin.right]);
		y.range([height - margin.bottom, margin.top]);
		const area = d3.area().x((_, step) => x(step)).curve(d3.curveStepBefore);
		areas.selectAll("path").data(layers).join("path")
			.attr("fill", d => sourceColour(data.sources[d.source]))
			.attr("d", d => area.y0((_, step) => y(d.base[step] / unit()))
				.y1((_, step) => y(d.top[step] / unit()))(d.top));
		const seconds = d3.scaleLinear().range(x.range())
			.domain(x.domain().map(step => model.nsOf(step) / model.time.ns));
		xAxis.attr("transform", `translate(0,${height - margin.bottom})`)
			.call(d3.axisBottom(seconds).ticks(width / 90).tickFormat(d => d + " " + model.time.unit));
		yAxis.attr("transform", `translate(${margin.left},0)`)
			.call(d3.axisLeft(y).ticks(4)
				.tickFormat(d => d3.format(",~r")(d) + (selection.measure === "bytes" ? " MiB" : "")));
		drawResident();
		brush.extent([[margin.left, margin.top], [width - margin.right, height - margin.bottom]]);
		brushLayer.call(brush).call(brush.move, model.isWhole() ? null : [selection.from, selection.to].map(x));
		const total = layers.length ? d3.max(layers[layers.length - 1].top) : 0;
		svg.attr("aria-label", `Growth over time to ${format.measure(selection.measure, total)}`);
		const end = data.time.steps;
		drawLegend("#growth-legend", layers.filter(d => d.top[end] > d.base[end]).map(d =>
			[sourceColour(data.sources[d.source]), `${data.sources[d.source]} `
				+ format.measure(selection.measure, d.top[end] - d.base[end])])
			.concat(selection.measure === "bytes" && !selection.threads
				? [["var(--ink)", `there at once, at most ${format.bytes(data.totals.peak_bytes)}`]] : []));
	}

	// What was there at once, as far as it can be told: of all threads.
	function drawResident() {
		const { bytes, bucket_ns: bucket } = data.resident;
		const points = [];
		let value = 0;
		bytes.forEach((most, i) => {
			value = most || value; // nothing changed meanwhile
			points.push([model.stepOf(i * bucket), value], [model.stepOf((i + 1) * bucket), value]);
		});
		const visible = selection.measure === "bytes" && !selection.threads;
		residentLine.attr("visibility", visible ? null : "hidden").attr("d", d3.line()
			.x(d => x(Math.min(data.time.steps, Math.max(0, d[0])))).y(d => y(d[1] / unit()))(points));
	}

	// While the mouse moves, everything follows once a frame.
	function brushed() {
		const { selection: ends, sourceEvent, type } = d3.event;
		if (!sourceEvent)
			return;
		const [from, to] = ends ? ends.map(x.invert) : [0, data.time.steps];
		cancelAnimationFrame(frame);
		if (type === "end")
			select(from, to);
		else
			frame = requestAnimationFrame(() => select(from, to));
	}

	function select(from, to) {
		selecting = true;
		model.selectTime(from, to);
		selecting = false;
	}

	brushLayer.on("mousemove", () => {
		const [px, py] = d3.mouse(svg.node());
		const step = Math.floor(x.invert(px));
		if (step < 0 || step >= data.time.steps || d3.event.buttons)
			return tip.hide();
		pointer.attr("x1", px).attr("x2", px).attr("y1", margin.top).attr("y2", height - margin.bottom)
			.attr("visibility", null);
		const lines = layers.filter(d => d.top[step + 1] > d.base[step + 1]).reverse().map(d =>
			[data.sources[d.source], format.measure(selection.measure, d.top[step + 1] - d.base[step + 1])]);
		const under = y.invert(py) * unit();
		const here = layers.find(d => d.base[step + 1] <= under && under < d.top[step + 1]);
		tip.show([model.timeText(step) + (here ? ", over " + data.sources[here.source] : ""), ...lines],
			d3.event.clientX, d3.event.clientY);
	}).on("mouseleave", () => {
		pointer.attr("visibility", "hidden");
		tip.hide();
	});

	model.events.on("change.growth", what => {
		if ("measure" in what || "threads" in what)
			add();
		if (!selecting)
			draw(element.clientWidth);
	});
	add();
	onWidth(element, draw);
}
