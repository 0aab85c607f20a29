"""The published data sets as factories: one a name, whose signature is the schema of its options.

The first number in a description is the pictures to train and validate on, the second those to test on. As in the
paper's code as far as it is known: what is published for validation is trained on too, and a part of all that is held
out instead, of CIFAR-10 10,000 pictures.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

Root = Annotated[str, "the folder that the published archive was unpacked in"]
ImageSize = Annotated[int, "side of the square pictures, in pixels"]
ValShare = Annotated[float, "share of each class's training pictures that the search measures on, up to 0.5"]
SplitSeed = Annotated[int, "which pictures are held out for that: another number, another split"]
SkipBudget = Annotated[float, "share of the files that may be unreadable; five always may"]
Flip = Annotated[bool, "training may swap left and right"]
MinScale = Annotated[float, "a random crop in training keeps at least this share of the area; the paper's: 0.08"]
Cache = Annotated[
    Literal["auto", "memory", "disk"],
    "where decoded pictures stand; auto: on disk if they would take more than half of the machine's memory",
]
CacheDir = Annotated[str | None, "folder for those on disk; none: datasets in $NAT_CACHE, else in ~/.cache/nat"]


def cifar10(
    root: Root,
    *,
    image_size: ImageSize = 32,
    val_share: ValShare = 0.2,
    split_seed: SplitSeed = 0,
    flip: Flip = True,
    min_scale: MinScale = 0.25,
    cache: Cache = "auto",
    cache_dir: CacheDir = None,
) -> Any:
    """CIFAR-10: 10 kinds of things and animals, 50,000 and 10,000 pictures of 32 pixels."""
    return _load(
        "cifar10",
        root,
        image_size=image_size,
        share=val_share,
        split_seed=split_seed,
        flip=flip,
        min_scale=min_scale,
        cache=cache,
        cache_dir=cache_dir,
    )


def cifar100(
    root: Root,
    *,
    image_size: ImageSize = 32,
    val_share: ValShare = 0.2,
    split_seed: SplitSeed = 0,
    flip: Flip = True,
    min_scale: MinScale = 0.25,
    cache: Cache = "auto",
    cache_dir: CacheDir = None,
) -> Any:
    """CIFAR-100: 100 kinds of things, animals and plants, 50,000 and 10,000 pictures of 32 pixels."""
    return _load(
        "cifar100",
        root,
        image_size=image_size,
        share=val_share,
        split_seed=split_seed,
        flip=flip,
        min_scale=min_scale,
        cache=cache,
        cache_dir=cache_dir,
    )


def cinic10(
    root: Root,
    *,
    image_size: ImageSize = 32,
    val_share: ValShare = 0.1,
    split_seed: SplitSeed = 0,
    skip_budget: SkipBudget = 0.01,
    flip: Flip = True,
    min_scale: MinScale = 0.25,
    cache: Cache = "auto",
    cache_dir: CacheDir = None,
) -> Any:
    """CINIC-10: the classes of CIFAR-10 with pictures from ImageNet, 180,000 and 90,000 of 32 pixels."""
    return _load(
        "cinic10",
        root,
        image_size=image_size,
        share=val_share,
        split_seed=split_seed,
        skip_budget=skip_budget,
        flip=flip,
        min_scale=min_scale,
        cache=cache,
        cache_dir=cache_dir,
    )


def stl10(
    root: Root,
    *,
    image_size: ImageSize = 96,
    val_share: ValShare = 0.2,
    split_seed: SplitSeed = 0,
    flip: Flip = True,
    min_scale: MinScale = 0.25,
    cache: Cache = "auto",
    cache_dir: CacheDir = None,
) -> Any:
    """STL-10: 10 kinds of things and animals, 5,000 and 8,000 labelled pictures of 96 pixels."""
    return _load(
        "stl10",
        root,
        image_size=image_size,
        share=val_share,
        split_seed=split_seed,
        flip=flip,
        min_scale=min_scale,
        cache=cache,
        cache_dir=cache_dir,
    )


def food101(
    root: Root,
    *,
    image_size: ImageSize = 224,
    val_share: ValShare = 0.1,
    split_seed: SplitSeed = 0,
    skip_budget: SkipBudget = 0.01,
    flip: Flip = True,
    min_scale: MinScale = 0.25,
    cache: Cache = "auto",
    cache_dir: CacheDir = None,
) -> Any:
    """Food-101: 101 dishes, 75,750 and 25,250 photographs; decoded, they take 15 GB at 224 pixels."""
    return _load(
        "food101",
        root,
        image_size=image_size,
        share=val_share,
        split_seed=split_seed,
        skip_budget=skip_budget,
        flip=flip,
        min_scale=min_scale,
        cache=cache,
        cache_dir=cache_dir,
    )


def cars(
    root: Root,
    *,
    image_size: ImageSize = 224,
    val_share: ValShare = 0.2,
    split_seed: SplitSeed = 0,
    skip_budget: SkipBudget = 0.01,
    flip: Flip = True,
    min_scale: MinScale = 0.25,
    cache: Cache = "auto",
    cache_dir: CacheDir = None,
) -> Any:
    """Stanford Cars: 196 models, 8,144 and 8,041 photographs, each cut to the published box of its car."""
    return _load(
        "cars",
        root,
        image_size=image_size,
        share=val_share,
        split_seed=split_seed,
        skip_budget=skip_budget,
        flip=flip,
        min_scale=min_scale,
        cache=cache,
        cache_dir=cache_dir,
    )


def aircraft(
    root: Root,
    *,
    image_size: ImageSize = 224,
    val_share: ValShare = 0.2,
    split_seed: SplitSeed = 0,
    skip_budget: SkipBudget = 0.01,
    flip: Flip = True,
    min_scale: MinScale = 0.25,
    cache: Cache = "auto",
    cache_dir: CacheDir = None,
) -> Any:
    """FGVC-Aircraft: 100 variants, 6,667 and 3,333 photographs."""
    return _load(
        "aircraft",
        root,
        image_size=image_size,
        share=val_share,
        split_seed=split_seed,
        skip_budget=skip_budget,
        flip=flip,
        min_scale=min_scale,
        cache=cache,
        cache_dir=cache_dir,
    )


def dtd(
    root: Root,
    *,
    image_size: ImageSize = 224,
    val_share: ValShare = 0.2,
    split_seed: SplitSeed = 0,
    skip_budget: SkipBudget = 0.01,
    flip: Flip = True,
    min_scale: MinScale = 0.25,
    cache: Cache = "auto",
    cache_dir: CacheDir = None,
) -> Any:
    """Describable Textures: 47 words for textures, 3,760 and 1,880 photographs, the first published partition."""
    return _load(
        "dtd",
        root,
        image_size=image_size,
        share=val_share,
        split_seed=split_seed,
        skip_budget=skip_budget,
        flip=flip,
        min_scale=min_scale,
        cache=cache,
        cache_dir=cache_dir,
    )


def pets(
    root: Root,
    *,
    image_size: ImageSize = 224,
    val_share: ValShare = 0.2,
    split_seed: SplitSeed = 0,
    skip_budget: SkipBudget = 0.01,
    flip: Flip = True,
    min_scale: MinScale = 0.25,
    cache: Cache = "auto",
    cache_dir: CacheDir = None,
) -> Any:
    """Oxford-IIIT Pets: 37 breeds of cats and dogs, 3,680 and 3,669 photographs."""
    return _load(
        "pets",
        root,
        image_size=image_size,
        share=val_share,
        split_seed=split_seed,
        skip_budget=skip_budget,
        flip=flip,
        min_scale=min_scale,
        cache=cache,
        cache_dir=cache_dir,
    )


def flowers102(
    root: Root,
    *,
    image_size: ImageSize = 224,
    val_share: ValShare = 0.2,
    split_seed: SplitSeed = 0,
    skip_budget: SkipBudget = 0.01,
    flip: Flip = True,
    min_scale: MinScale = 0.25,
    cache: Cache = "auto",
    cache_dir: CacheDir = None,
) -> Any:
    """Oxford Flowers: 102 kinds, 2,040 and 6,149 photographs."""
    return _load(
        "flowers102",
        root,
        image_size=image_size,
        share=val_share,
        split_seed=split_seed,
        skip_budget=skip_budget,
        flip=flip,
        min_scale=min_scale,
        cache=cache,
        cache_dir=cache_dir,
    )


def imagenet(
    root: Root,
    *,
    image_size: ImageSize = 224,
    val_share: ValShare = 0.0078,
    split_seed: SplitSeed = 0,
    skip_budget: SkipBudget = 0.01,
    flip: Flip = True,
    min_scale: MinScale = 0.25,
    cache: Cache = "auto",
    cache_dir: CacheDir = None,
) -> Any:
    """ImageNet of ILSVRC 2012: 1,000 kinds, 1,281,167 and 50,000 photographs; 200 GB at 224 pixels."""
    return _load(
        "imagenet",
        root,
        image_size=image_size,
        share=val_share,
        split_seed=split_seed,
        skip_budget=skip_budget,
        flip=flip,
        min_scale=min_scale,
        cache=cache,
        cache_dir=cache_dir,
    )


def _load(name: str, root: str, **options: Any) -> Any:
    from nat_datasets import assembly, official

    return official.load(name, root, assembly.Recipe(name=name, **options))
