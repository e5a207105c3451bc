// SPDX-License-Identifier: MIT
// map.js: the map of addresses and time: its axes, zooming, and the cross that the keyboard moves.

function addressMap() {
	const { data, selection } = model;
	const element = document.querySelector("#map .chart");
	const HEIGHT = 460, PAGE = data.trace.page_size;
	const margin = { top: 6, right: 12, bottom: 24, left: 190 };
	const cells = mapCells(d3.select(element).append("canvas"));
	const svg = d3.select(element).append("svg").attr("height", HEIGHT).attr("tabindex", 0)
		.attr("role", "application").attr("aria-label", "Map of addresses and time");
	const gaps = svg.append("g").attr("class", "gaps"), xAxis = svg.append("g").attr("class", "axis"),
		yAxis = svg.append("g").attr("class", "axis"), cross = svg.append("g").attr("class", "cross"),
		brushLayer = svg.append("g").attr("class", "brush");
	cross.append("line");
	cross.append("line");
	const x = d3.scaleLinear(), y = d3.scaleLinear().range([margin.top, HEIGHT - margin.bottom]);
	const brush = d3.brush().on("end", brushed).on("start", tip.hide);

	let by = "source", address = null, cursor = null, width = 0;
	let views = []; // domains { x, y }, each zoomed from the one before; the last is shown

	function add() {
		address = addressScale();
		views = [{ x: [selection.from, selection.to], y: [0, address.rows] }];
		cursor = null;
	}

	function draw(newWidth) {
		width = newWidth;
		margin.left = width < 700 ? 96 : 190;
		svg.attr("width", width).attr("viewBox", `0 0 ${width} ${HEIGHT}`);
		const view = views[views.length - 1];
		x.domain(view.x).range([margin.left, width - margin.right]);
		y.domain(view.y);
		drawLegend("#map-legend", cells.legend(by, cells.paint(by, x, y, address)));
		const times = d3.scaleLinear().range(x.range()).domain(view.x.map(step => model.nsOf(step) / model.time.ns));
		xAxis.attr("transform", `translate(0,${HEIGHT - margin.bottom})`).call(d3.axisBottom(times)
			.ticks(width / 110).tickFormat(d => `${d3.format(".6~r")(d)} ${model.time.unit}`));
		drawAddresses();
		brush.extent([[margin.left, margin.top], [width - margin.right, HEIGHT - margin.bottom]]);
		brushLayer.call(brush);
		drawCross();
		const [from, to] = [Math.floor(view.x[0]), Math.ceil(view.x[1])].map(model.timeText);
		d3.select("#map-view").text(`${from} to ${to}, ${format.count(shownPages(view))} pages`);
		d3.selectAll("#map-out, #map-all").property("disabled", views.length === 1);
	}

	const shownPages = view => Math.round(d3.sum(address.extents, extent => {
		const from = Math.max(view.y[0], extent.at), to = Math.min(view.y[1], extent.at + extent.rows);
		return to > from ? (to - from) * extent.pages / extent.rows : 0;
	}));

	// Lines between extents, the name of each that has room for one, and more addresses in tall ones.
	function drawAddresses() {
		const LINE = 13, SPACE = 40;
		const [top, bottom] = y.range();
		const visible = address.extents.filter(extent => y(extent.at + extent.rows) > top && y(extent.at) < bottom);
		gaps.selectAll("line").data(visible.filter(extent => y(extent.at) > top + 2)).join("line")
			.attr("x1", margin.left).attr("x2", width - margin.right)
			.attr("y1", extent => y(extent.at) - 0.5).attr("y2", extent => y(extent.at) - 0.5)
			.attr("opacity", Math.max(0.15, Math.min(0.7, 15 / visible.length)));
		const labels = [];
		let next = top;
		for (const extent of visible) {
			const start = Math.max(top, y(extent.at)), end = Math.min(bottom, y(extent.at + extent.rows));
			if (start < next)
				continue;
			const first = address.invert(y.invert(start + 0.01)) || extent;
			labels.push({ at: start + 9, text: nameOf(extent, Math.floor(first.page)) });
			next = start + LINE;
			for (; next + SPACE - LINE < end - LINE; next += SPACE) {
				const place = address.invert(y.invert(next + SPACE - LINE));
				if (place)
					labels.push({ at: next + SPACE - LINE / 2, text: format.address(Math.floor(place.page) * PAGE),
						inner: true });
			}
		}
		yAxis.selectAll("text").data(labels).join("text").attr("x", margin.left - 8).attr("y", d => d.at)
			.attr("text-anchor", "end").classed("inner", d => d.inner).text(d => d.text);
	}

	function nameOf(extent, page) {
		const region = mapTell.regionAt(extent.process, page, Infinity);
		const name = format.address(page * PAGE), source = region < 0 ? "" : mapTell.regionName(region);
		if (margin.left < 100)
			return source || name;
		const { pid } = data.processes;
		return (pid.length > 1 ? [pid[extent.process]] : []).concat(name, source).join(" ");
	}

	const clamp = (value, [low, high]) => Math.min(high, Math.max(low, value));
	const middle = scale => (scale.range()[0] + scale.range()[1]) / 2;

	// Zooms to domains, as far as there is something to see: a few steps of time, a few pages.
	function zoomTo(xDomain, yDomain) {
		const whole = views[0];
		const part = (domain, limits, least) => {
			const size = Math.min(Math.max(domain[1] - domain[0], least), limits[1] - limits[0]);
			const from = clamp((domain[0] + domain[1] - size) / 2, [limits[0], limits[1] - size]);
			return [from, from + size];
		};
		const leastRows = 4 * d3.min(address.extents, extent => extent.rows / extent.pages);
		views.push({ x: part(xDomain, whole.x, 4), y: part(yDomain, whole.y, leastRows) });
		draw(width);
	}
	function zoomAround(px, py, factor) {
		const around = (scale, at) => scale.domain().map(end => at + (end - at) / factor);
		zoomTo(around(x, x.invert(px)), around(y, y.invert(py)));
	}
	function back(count) {
		views.length = Math.max(1, views.length - count);
		draw(width);
	}

	// A drag zooms to what it went over, a click around where it was.
	function brushed() {
		const { selection: box, sourceEvent } = d3.event;
		if (!sourceEvent || !["mouseup", "touchend"].includes(sourceEvent.type))
			return;
		if (!box)
			return zoomAround(...d3.mouse(svg.node()), 4);
		const [[x0, y0], [x1, y1]] = box;
		brushLayer.call(brush.move, null);
		zoomTo([x.invert(x0), x.invert(x1)], [y.invert(y0), y.invert(y1)]);
	}

	function drawCross() {
		cross.attr("visibility", cursor ? null : "hidden");
		if (!cursor)
			return;
		const [[left, right], [top, bottom], [px, py]] = [x.range(), y.range(), cursor];
		cross.select("line").attr("x1", left).attr("x2", right).attr("y1", py).attr("y2", py);
		cross.select("line:last-child").attr("y1", top).attr("y2", bottom).attr("x1", px).attr("x2", px);
	}

	function moveCross(dx, dy) {
		const [px, py] = cursor || [middle(x), middle(y)];
		cursor = [clamp(px + dx, x.range()), clamp(py + dy, y.range())];
		drawCross();
		const lines = mapTell.describe(...cursor, x, y, address);
		const box = svg.node().getBoundingClientRect();
		tip.show(lines, box.left + cursor[0], box.top + cursor[1]);
		d3.select("#map-said").text(lines.map(line => Array.isArray(line) ? line.join(" ") : line).join(", "));
	}

	brushLayer.on("mousemove", () => {
		if (!d3.event.buttons)
			tip.show(mapTell.describe(...d3.mouse(svg.node()), x, y, address), d3.event.clientX, d3.event.clientY);
	}).on("mouseleave", tip.hide);
	svg.on("blur", () => {
		cursor = null;
		drawCross();
		tip.hide();
	}).on("keydown", () => {
		const { key, shiftKey } = d3.event, step = shiftKey ? 40 : 4;
		const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
		if (key in moves)
			moveCross(...moves[key]);
		else if ((key === "Enter" || key === "+") && cursor)
			zoomAround(...cursor, 4);
		else if (key === "Escape" || key === "-")
			back(1);
		else
			return;
		d3.event.preventDefault();
	});
	d3.select("#map-in").on("click", () => zoomAround(middle(x), middle(y), 2));
	d3.select("#map-out").on("click", () => back(1));
	d3.select("#map-all").on("click", () => back(views.length));
	d3.selectAll("input[name=map-colour]").on("change", function () {
		by = this.value;
		draw(width);
	});

	model.events.on("change.map", what => {
		if ("from" in what || "threads" in what) {
			add();
			draw(width);
		}
	});
	add();
	onWidth(element, draw);
}
