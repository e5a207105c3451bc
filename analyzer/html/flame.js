// SPDX-License-Identifier: MIT
// flame.js: the flame graph: one box for each function on each way of calls that is wide enough to
// be seen, in SVG, so that it can be walked with the keyboard, read aloud, and printed.

function flame() {
	const { data, selection, byPlace, byOrigin } = model;
	const element = document.querySelector("#flame .chart");
	const search = document.getElementById("flame-search");
	const svg = d3.select(element).append("svg").attr("role", "tree").attr("aria-label", "Flame graph");
	const ROW = 19, LETTER = 6.7, LEAST_PX = 0.8;

	let by = "touch", inverted = false;
	let path = [];        // the zoomed box
	let weights = null;   // of each node
	let tree = null;
	let found = null;     // Uint8Array: frames that the search found
	let current = "";     // the key of the box that has, or had, the focus

	// The modules with most memory have colours of their own.
	const moduleRank = (() => {
		const sums = new Float64Array(data.modules.length + 1);
		const totals = Float64Array.from(nodeWeights("touch", true));
		for (let n = totals.length - 1; n > 0; n--) {
			totals[data.nodes.parent[n]] += totals[n];
			sums[data.frames.module[data.nodes.frame[n]] + 1] += totals[n];
		}
		const order = d3.range(sums.length).filter(i => sums[i] > 0).sort((a, b) => sums[b] - sums[a]);
		return new Map(order.slice(0, 7).map((module, rank) => [module - 1, rank]));
	})();
	const colourOf = frame => {
		if (frame < 0)
			return "var(--f-all)";
		const module = data.frames.module[frame];
		return moduleRank.has(module) ? `var(--f${moduleRank.get(module)})` : "var(--f7)";
	};
	const frameName = index => data.frames.name[index];

	function nodeWeights(what, allTimes) {
		const { node } = data.places, { place } = data.origins;
		const [table, key] = what === "touch" ? [byPlace, i => node[byPlace.place[i]]]
			: [byOrigin, i => node[place[byOrigin.origin[i]]]];
		return model.sums(table, data.nodes.parent.length, key, allTimes)[selection.measure];
	}

	function add() {
		weights = nodeWeights(by);
		tree = flameTree.make(weights, inverted);
	}

	// Boxes that can be seen, with x0, x1 (0 to 1) and depth.
	function layout(focus, width) {
		const least = focus.total * LEAST_PX / width;
		const root = d3.hierarchy(focus, box => tree.children(box, least));
		root.eachBefore(node => { node.value = node.data.total; });
		d3.partition()(root);
		return root.descendants();
	}

	function draw(width) {
		const way = flameTree.follow(tree, path);
		if (way.length <= path.length)
			path = way[way.length - 1].path;
		const focus = way[way.length - 1];
		const boxes = layout(focus, width);
		const height = (d3.max(boxes, d => d.depth) + 1) * ROW;
		// Thin towers do not make everything below move away: they can be scrolled to.
		const tall = d3.max(boxes, d => (d.x1 - d.x0) * width >= 8 ? d.depth : 0) + 2;
		element.style.setProperty("--rows", Math.max(8, tall) * ROW + "px");
		svg.attr("width", width).attr("height", height).attr("viewBox", `0 0 ${width} ${height}`);
		if (!boxes.some(d => d.data.key === current))
			current = focus.key;
		svg.selectAll("g").data(boxes, d => d.data.key).join(enter => {
			const group = enter.append("g").attr("role", "treeitem");
			group.append("rect").attr("height", ROW - 1);
			return group;
		}).order()
			.attr("transform", d => `translate(${d.x0 * width},${d.depth * ROW})`)
			.attr("tabindex", d => d.data.key === current ? 0 : -1)
			.attr("data-key", d => d.data.key)
			.attr("aria-level", d => d.depth + 1)
			.attr("aria-label", describe)
			.classed("found", d => found && d.data.frame >= 0 && found[d.data.frame])
			.call(groups => {
				groups.select("rect").attr("width", d => Math.max(0.5, (d.x1 - d.x0) * width - 0.5))
					.style("fill", d => colourOf(d.data.frame));
				// Most boxes have no room for one.
				groups.selectAll("text").data(d => [label(d, (d.x1 - d.x0) * width)].filter(Boolean)).join("text")
					.attr("y", ROW - 6).attr("x", 4).text(d => d);
			});
		svg.classed("searching", found !== null);
		drawPath(way);
		drawFound();
	}

	const nameOf = box => box.frame < 0 ? "all" : frameName(box.frame);
	const describe = d => `${nameOf(d.data)}, ${format.measure(selection.measure, d.data.total)}, `
		+ format.share(d.data.total, tree.root.total);

	function label(d, px) {
		const letters = Math.floor((px - 8) / LETTER);
		if (letters < 3)
			return "";
		const name = format.short(nameOf(d.data));
		const text = `${name}  ${format.share(d.data.total, tree.root.total)}`;
		return text.length <= letters ? text : format.fit(name, letters);
	}

	function drawPath(way) {
		d3.select("#flame-path").selectAll("button").data(way.length > 1 ? way : [], d => d.key).join("button")
			.attr("type", "button")
			.text(d => format.fit(format.short(nameOf(d)), 40))
			.on("click", d => zoom(d.path));
	}

	function drawFound() {
		const sum = found ? flameTree.weightOf(weights, found) : 0;
		d3.select("#flame-found").text(!found ? ""
			: `found in ${format.measure(selection.measure, sum)}, ${format.share(sum, tree.root.total)}`);
	}

	function zoom(newPath) {
		path = newPath;
		current = path.join("/");
		const hadFocus = element.contains(document.activeElement)
			|| document.getElementById("flame-path").contains(document.activeElement);
		draw(element.clientWidth);
		if (hadFocus)
			focusOn(current);
	}

	function focusOn(key) {
		current = key;
		svg.selectAll("g").attr("tabindex", d => d.data.key === key ? 0 : -1)
			.filter(d => d.data.key === key).each(function () { this.focus(); });
	}

	function readSearch() {
		const text = search.value.trim();
		found = null;
		if (text) {
			let matches = name => name.toLowerCase().includes(text.toLowerCase());
			try {
				const regex = new RegExp(text, "i");
				matches = name => regex.test(name);
			} catch (error) {
				// not a regular expression: the text itself
			}
			found = Uint8Array.from(data.frames.name, (name, i) =>
				matches(name) || matches(model.moduleName(data.frames.module[i])) ? 1 : 0);
		}
		draw(element.clientWidth);
	}

	function lines(d) {
		const box = d.data;
		const list = [nameOf(box), ["in all", describe(d).slice(nameOf(box).length + 2)]];
		if (box.self > 0)
			list.push([inverted ? "outermost" : "itself", format.measure(selection.measure, box.self)]);
		if (box.frame >= 0 && data.frames.module[box.frame] >= 0)
			list.push(["in", data.modules[data.frames.module[box.frame]]]);
		return list;
	}

	const boxAt = target => {
		const group = target.closest && target.closest("g[role=treeitem]");
		return group ? d3.select(group).datum() : null;
	};
	svg.on("click", () => {
		const d = boxAt(d3.event.target);
		if (d)
			zoom(d.data.path);
	}).on("mousemove", () => {
		const d = boxAt(d3.event.target);
		if (d)
			tip.show(lines(d), d3.event.clientX, d3.event.clientY);
	}).on("mouseleave", tip.hide).on("focusin", () => {
		const d = boxAt(d3.event.target);
		if (!d)
			return;
		current = d.data.key;
		if (d3.event.target.matches(":focus-visible")) {
			const box = d3.event.target.getBoundingClientRect();
			tip.show(lines(d), box.left, box.bottom);
		}
	}).on("focusout", tip.hide).on("keydown", () => {
		const d = boxAt(d3.event.target);
		if (!d)
			return;
		const siblings = d.parent ? d.parent.children : [d];
		const at = siblings.indexOf(d);
		const next = { ArrowDown: d.children && d.children[0], ArrowUp: d.parent,
			ArrowLeft: siblings[at - 1], ArrowRight: siblings[at + 1] };
		if (d3.event.key in next) {
			if (next[d3.event.key])
				focusOn(next[d3.event.key].data.key);
		} else if (d3.event.key === "Enter" || d3.event.key === " ") {
			zoom(d.data.path);
		} else if (d3.event.key === "Escape") {
			zoom(path.slice(0, -1));
		} else {
			return;
		}
		d3.event.preventDefault();
	});

	d3.selectAll("input[name=flame-by]").on("change", function () {
		by = this.value;
		path = [];
		add();
		draw(element.clientWidth);
	});
	d3.select("#flame-invert").on("change", function () {
		inverted = this.checked;
		path = [];
		add();
		draw(element.clientWidth);
	});
	d3.select(search).on("input", readSearch).on("keydown", () => {
		if (d3.event.key === "Escape") {
			search.value = "";
			readSearch();
		}
	});
	d3.select(document).on("keydown.search", () => {
		if (d3.event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
			search.focus();
			d3.event.preventDefault();
		} else if (d3.event.key === "Escape" && document.activeElement === document.body && path.length > 0) {
			zoom(path.slice(0, -1));
		}
	});
	drawLegend("#flame-legend", Array.from(moduleRank, ([module, rank]) =>
		[`var(--f${rank})`, module < 0 ? "no file" : model.moduleName(module)])
		.concat(data.modules.length > moduleRank.size ? [["var(--f7)", "others"]] : []));
	model.events.on("change.flame", () => {
		add();
		draw(element.clientWidth);
	});
	add();
	onWidth(element, draw);
}
