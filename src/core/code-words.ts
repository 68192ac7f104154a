/** 256 short words that are hard to mistake for one another, one for each value of a byte. */
export const CODE_WORDS: readonly string[] = `
acorn agile album alder amber anchor angle ankle apple apron arch arrow atlas attic autumn badge bagel baker
bamboo banjo barley basil basin beacon beaver bench berry birch bishop blanket bloom board bottle boulder
branch brass bread breeze brick bridge bronze brook brush bucket buffalo butter button cabin cable cactus
camel canal candle canoe canvas carbon carpet castle cedar cello chalk cherry chess chimney cider circle
citrus clay cliff clock cloud clover cobalt cocoa comet compass copper coral cotton cradle crane crater
cricket crown crystal cube dagger daisy dawn deer delta desert diamond dolphin donkey dragon drum eagle earth
easel echo elbow elder elm ember engine falcon feather fennel ferry fiddle field finch flame flint flute
forest fossil fountain fox frost galaxy garden garlic garnet gate ginger glacier globe goat goose grain
granite grape gravel grove guitar hammer harbor harp hawk hazel helmet heron hill honey horse hotel igloo
indigo iris iron island ivory ivy jacket jaguar jasmine jewel jungle juniper kayak kettle kite koala ladder
lagoon lake lamp lantern lark laurel lemon leopard lilac lily lime linen lion lizard lobster lotus lunar
magnet mango maple marble market meadow melon meteor mint mirror moon moss mountain nectar needle nest oak
oasis ocean olive onion opal orange orbit orchid otter owl oyster paddle palm panda paper parrot peach peanut
pearl pebble pelican pepper piano pigeon pine planet plum pocket pond poppy prairie prism pumpkin quartz
quilt rabbit raven reef ribbon river robin rocket rose ruby saddle saffron sail salmon stone tiger tulip
valley velvet violin walnut willow
`
  .trim()
  .split(/\s+/)
