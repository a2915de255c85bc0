// SPDX-License-Identifier: MIT
#include "process/give_way.h"

#include <gtest/gtest.h>

namespace shoal {
namespace {

constexpr int64_t kStart = 1'000'000'000;

TEST(GiveWay, AnOfferIsMadeAfterAPauseOnly) {
  Offers offers;
  ASSERT_TRUE(offers.due(kStart));
  offers.made(kStart, kStart + 1'000);
  EXPECT_FALSE(offers.due(kStart + Offers::kPauseNs));
  EXPECT_TRUE(offers.due(kStart + 3 * Offers::kPauseNs));
}

TEST(GiveWay, ABurstGetsNoneHoweverLongItGoesOn) {
  Offers offers;
  ASSERT_TRUE(offers.due(kStart));
  offers.made(kStart, kStart);
  int64_t now = kStart;
  for (int wake = 0; wake < 100; ++wake) EXPECT_FALSE(offers.due(now += Offers::kPauseNs / 2)) << wake;
  EXPECT_TRUE(offers.due(now + Offers::kPauseNs));
}

TEST(GiveWay, WhereOthersWantTheProcessorTheNextOfferIsFarAway) {
  Offers offers;
  ASSERT_TRUE(offers.due(kStart));
  const int64_t end = kStart + Offers::kLongNs + 1;
  offers.made(kStart, end);
  EXPECT_FALSE(offers.due(end + Offers::kPauseAfterLongNs - Offers::kPauseNs));
  EXPECT_TRUE(offers.due(end + Offers::kPauseAfterLongNs));
}

TEST(GiveWay, AWakeLateInALongPauseDoesNotShortenIt) {
  Offers offers;
  offers.made(kStart, kStart + Offers::kLongNs + 1);
  EXPECT_FALSE(offers.due(kStart + Offers::kLongNs + 2));
  EXPECT_FALSE(offers.due(kStart + 2 * Offers::kPauseNs + Offers::kLongNs));
}

}  // namespace
}  // namespace shoal
